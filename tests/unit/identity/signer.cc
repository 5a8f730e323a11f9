#include "tests/unit/identity/signer.h"

#include <fmt/format.h>

#include "tests/support/fake_http_transport.h"

namespace daemonsetd::testing {
namespace {

using identity::SigningRequestObject;

const std::string kRequests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const std::string kLeases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/";
const std::string kNodes = "/api/v1/nodes/";

SigningRequestObject Decoded(const std::string& body) {
  SigningRequestObject object;
  const Status decoded =
      kube::DecodeObject(body, "certificates.k8s.io/v1", kube::kCertificateSigningRequests.kind, object);
  if (!decoded) throw std::runtime_error(decoded.error().message());
  return object;
}

// Only a 404 that names the object says that this one is not there.
kube::HttpResponse Absent(const std::string& name) {
  metav1::Status status;
  status.set_status("Failure");
  status.set_reason("NotFound");
  status.set_code(404);
  status.mutable_details()->set_name(name);
  return {.status = 404,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", status)};
}

kube::HttpResponse Answer(const SigningRequestObject& object) {
  return ObjectResponse(kube::kCertificateSigningRequests, object);
}

}  // namespace

SigningRequestObject& Signer::Put(const std::string& name, const std::string& request) {
  SigningRequestObject& object = requests[name];
  object.mutable_metadata()->set_name(name);
  object.mutable_metadata()->set_uid("uid-" + name);
  object.mutable_spec()->set_request(request);
  object.mutable_spec()->set_signername("kubernetes.io/kube-apiserver-client");
  object.mutable_spec()->add_usages("client auth");
  object.mutable_spec()->add_usages("digital signature");
  return object;
}

void Signer::SignApproved() {
  for (auto& [name, object] : requests) {
    if (identity::DecisionOn(object) != "Approved" || !object.status().certificate().empty()) continue;
    const WallTime now = timeline_.Read().wall + skew;
    object.mutable_status()->set_certificate(
        authority.Sign(object.spec().request(), now - std::chrono::minutes(5), now + lifetime));
  }
}

Task<Result<kube::HttpResponse>> Signer::Send(kube::HttpRequest request, MonoTime) {
  const std::string path = PathOf(request);
  calls.push_back(fmt::format("{} {}", request.method, path));
  if (fail) {
    if (std::optional<Error> error = fail()) co_return *error;
  }
  const std::string name = path.size() > kRequests.size() ? path.substr(kRequests.size() + 1) : "";
  if (request.method == "POST") {
    SigningRequestObject object = Decoded(request.body);
    const std::string created = object.metadata().name();
    if (requests.contains(created)) co_return StatusResponse(409, "AlreadyExists", "it is there");
    if (approves) object.mutable_status()->add_conditions()->set_type("Approved");
    requests[created] = object;
    co_return Answer(object);
  }
  if (request.method == "PUT") {
    const std::string bare = name.substr(0, name.find('/'));
    requests[bare] = Decoded(request.body);
    co_return Answer(requests[bare]);
  }
  if (path == kRequests) {
    FakeHttpTransport list({}, timeline_, kube::kCertificateSigningRequests);
    for (const auto& [key, object] : requests) list.Put(object);
    co_return co_await list.Send(request, {});
  }
  if (path.starts_with(kLeases)) {
    const auto lease = leases.find(path.substr(kLeases.size()));
    if (lease == leases.end()) co_return Absent(path.substr(kLeases.size()));
    co_return ObjectResponse(kube::kLeases, lease->second);
  }
  if (path.starts_with(kNodes)) {
    corev1::Node node;
    for (const std::string& known : nodes) {
      node.mutable_metadata()->set_name(known);
      if (path == kNodes + known) co_return ObjectResponse(kube::kNodes, node);
    }
    co_return Absent(path.substr(kNodes.size()));
  }
  SignApproved();
  const auto found = requests.find(name);
  if (found == requests.end()) co_return Absent(name);
  co_return Answer(found->second);
}

}  // namespace daemonsetd::testing
