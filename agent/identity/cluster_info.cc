#include "agent/identity/cluster_info.h"

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/this_coro.hpp>

#include "agent/async/within_deadline.h"
#include "agent/identity/certificate.h"
#include "agent/kube/api_error.h"
#include "agent/kube/transport/connector.h"
#include "agent/kube/transport/tls.h"
#include "agent/model/codec.h"
#include "agent/model/document_reader.h"
#include "agent/model/special_types.h"

namespace daemonsetd::identity {
namespace {

constexpr std::string_view kKindOfHash = "sha256:";
constexpr std::size_t kHexDigits = 64;
constexpr char kClusterInfo[] = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
constexpr char kCall[] = "get configmaps kube-public/cluster-info";
constexpr std::size_t kMaximumAnswer = std::size_t{1} << 20;
constexpr Nanoseconds kTimeout = std::chrono::seconds(10);

Error Denied(std::string message) { return Error(ErrorKind::kDenied, std::move(message)); }

std::optional<int> ValueOf(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return std::nullopt;
}

// The one place that talks to a server that nobody vouches for.
std::shared_ptr<kube::Access> AccessToAnybody(const kube::ServerAddress& server) {
  auto access = std::make_shared<kube::Access>();
  access->server = server;
  access->server_name = server.host;
  access->tls = kube::NewTlsContext();
  SSL_CTX_set_verify(access->tls.get(), SSL_VERIFY_NONE, nullptr);
  return access;
}

Task<Result<kube::HttpResponse>> Ask(kube::Connector* connector, std::shared_ptr<const kube::Access> access,
                                     MonoTime deadline) {
  const kube::ConnectionResult connection = co_await connector->Connect(access, deadline);
  if (!connection) co_return connection.error();
  const kube::HttpRequest request{
      .method = "GET", .target = kClusterInfo, .accept = "application/json", .content_type = "", .body = ""};
  Result<kube::HttpResponse> response = co_await (*connection)->Start(kube::RenderRequest(request, *access));
  if (!response) co_return response.error();
  Result<std::string> body = co_await kube::ReadBody(connection->get(), kMaximumAnswer);
  if (!body) co_return body.error();
  response->body = std::move(*body);
  co_return std::move(*response);
}

// A kubeconfig without a user: its cluster's authority.
std::string AuthorityIn(std::string_view kubeconfig) {
  model::Tree tree;
  const std::vector<model::ReadDocument> documents = model::ReadDocuments(kubeconfig, tree);
  if (documents.size() != 1 || documents[0].root == nullptr) return {};
  const model::Node* clusters = documents[0].root->Find("clusters");
  if (clusters == nullptr || clusters->items.empty()) return {};
  const model::Node* cluster = clusters->items[0]->Find("cluster");
  const model::Node* data = cluster == nullptr ? nullptr : cluster->Find("certificate-authority-data");
  return data == nullptr ? std::string() : model::DecodeBase64(data->text).value_or("");
}

Result<std::string> AuthorityOf(const kube::HttpResponse& response, const std::string& key_digest) {
  if (response.status != 200) {
    return kube::ErrorOf(response, kCall)
        .error.WithContext("the server does not tell its authority to everybody, as kubeadm's do; use --ca-file");
  }
  corev1::ConfigMap map;
  if (const Status read = model::DecodeObject(response.body, map, false); !read) {
    return read.error().WithContext(kCall);
  }
  const auto kubeconfig = map.data().find("kubeconfig");
  const std::string pem = kubeconfig == map.data().end() ? std::string() : AuthorityIn(kubeconfig->second);
  if (pem.empty()) {
    return Error(ErrorKind::kInvalid, "the ConfigMap kube-public/cluster-info names no authority; use --ca-file");
  }
  Result<std::string> authority = CertificatesOfKey(pem, key_digest);
  if (authority && authority->empty()) {
    return Denied(
        "no authority that the server names has the key of this hash: it is another cluster's hash, or "
        "somebody else answers in the server's place");
  }
  return authority;
}

Task<Result<std::string>> Fetch(kube::Connector* connector, kube::ServerAddress server, std::string key_digest,
                                MonoTime deadline) {
  const std::shared_ptr<kube::Access> access = AccessToAnybody(server);
  const Result<kube::HttpResponse> response = co_await Ask(connector, access, deadline);
  if (!response) co_return response.error();
  const Result<std::string> authority = AuthorityOf(*response, key_digest);
  if (!authority) co_return authority.error();
  access->tls = kube::NewTlsContext();
  if (const Status trusted = kube::TrustAuthorities(access->tls, *authority); !trusted) {
    co_return trusted.error().WithContext("the authority of this hash");
  }
  const kube::ConnectionResult connection = co_await connector->Connect(access, deadline);
  if (!connection) co_return connection.error().WithContext("the authority of this hash was tried");
  co_return *authority;
}

}  // namespace

Result<std::string> ParseKeyHash(std::string_view text) {
  const Error wrong(
      ErrorKind::kInvalid,
      fmt::format("\"{}\" is not the hash of a key: sha256: and {} hexadecimal digits", text, kHexDigits));
  if (!text.starts_with(kKindOfHash) || text.size() != kKindOfHash.size() + kHexDigits) return wrong;
  std::string digest;
  for (std::size_t i = kKindOfHash.size(); i < text.size(); i += 2) {
    const std::optional<int> high = ValueOf(text[i]);
    const std::optional<int> low = ValueOf(text[i + 1]);
    if (!high || !low) return wrong;
    digest += static_cast<char>(*high * 16 + *low);
  }
  return digest;
}

Task<Result<std::string>> FetchAuthority(kube::ServerAddress server, std::string key_digest, async::Timeline* timeline,
                                         async::BlockingPool* pool) {
  const std::string name = kube::ToString(server);
  kube::Connector connector(co_await boost::asio::this_coro::executor, *timeline, *pool);
  const MonoTime deadline = timeline->mono() + kTimeout;
  std::optional<Result<std::string>> authority = co_await async::WithinDeadline(
      timeline, deadline, Fetch(&connector, std::move(server), std::move(key_digest), deadline));
  co_await connector.Close();
  if (!authority) co_return Error(ErrorKind::kTimeout, name + ": no answer in time");
  if (!*authority) co_return authority->error().WithContext(name);
  co_return std::move(**authority);
}

}  // namespace daemonsetd::identity
