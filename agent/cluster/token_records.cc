#include "agent/cluster/token_records.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "agent/base/digest.h"
#include "agent/model/json_reader.h"
#include "agent/model/special_types.h"

namespace daemonsetd::cluster {
namespace {

// As a JSON Web Token writes it: other letters for two, and nothing at the end.
std::optional<std::string> DecodeBase64Url(std::string_view text) {
  std::string plain(text);
  std::replace(plain.begin(), plain.end(), '-', '+');
  std::replace(plain.begin(), plain.end(), '_', '/');
  while (plain.size() % 4 != 0) plain += '=';
  return model::DecodeBase64(plain);
}

}  // namespace

kube::authenticationv1::TokenRequest MessageOf(const pods::TokenRequest& request) {
  kube::authenticationv1::TokenRequest message;
  auto& spec = *message.mutable_spec();
  if (!request.audience.empty()) spec.add_audiences(request.audience);
  spec.set_expirationseconds(request.expiration.count());
  auto& bound = *spec.mutable_boundobjectref();
  bound.set_kind("Pod");
  bound.set_apiversion("v1");
  bound.set_name(request.pod_name);
  bound.set_uid(request.pod_uid);
  return message;
}

std::string RecordNameOf(const pods::TokenRequest& request) {
  const std::string what =
      fmt::format("{}\n{}\n{}", request.service_account, request.audience, request.expiration.count());
  return fmt::format("{}.{:016x}", request.pod_uid, Fnv1a64(what));
}

kube::authenticationv1::TokenRequest RecordOf(const pods::TokenRequest& request, const pods::Token& token) {
  kube::authenticationv1::TokenRequest record = MessageOf(request);
  record.mutable_metadata()->set_namespace_(request.name_space);
  record.mutable_metadata()->set_name(RecordNameOf(request));
  record.mutable_spec()->set_expirationseconds(token.lifetime.count());
  record.mutable_status()->set_token(token.value);
  return record;
}

pods::Token TokenOf(const kube::authenticationv1::TokenRequest& record, WallTime issued) {
  return {.value = record.status().token(), .lifetime = Seconds(record.spec().expirationseconds()), .issued = issued};
}

std::optional<WallTime> ExpiryIn(std::string_view token) {
  constexpr std::int64_t kMost = 9'000'000'000;  // the year 2255; a moment in nanoseconds has little more room
  const std::size_t head = token.find('.');
  const std::size_t end = head == std::string_view::npos ? head : token.find('.', head + 1);
  if (end == std::string_view::npos) return std::nullopt;
  const auto claims = DecodeBase64Url(token.substr(head + 1, end - head - 1));
  if (!claims) return std::nullopt;
  model::Tree tree;
  std::vector<const model::Node*> roots;
  if (model::ReadJson(*claims, tree, roots) || roots.size() != 1) return std::nullopt;
  const model::Node* const expiry = roots[0]->Find("exp");
  if (expiry == nullptr || expiry->kind != model::Node::Kind::kNumber) return std::nullopt;
  std::int64_t seconds = 0;
  const char* const first = expiry->text.data();
  const auto read = std::from_chars(first, first + expiry->text.size(), seconds);
  if (read.ec != std::errc() || seconds < 0) return std::nullopt;
  return WallTime(Seconds(std::min(seconds, kMost)));
}

bool IsValidByItsOwnWord(const pods::Token& token, WallTime now) {
  const auto expiry = ExpiryIn(token.value);
  return expiry && now < *expiry;
}

bool IsStillValid(const pods::Token& token, WallTime now) {
  return now - token.issued < token.lifetime || IsValidByItsOwnWord(token, now);
}

}  // namespace daemonsetd::cluster
