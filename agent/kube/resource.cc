#include "agent/kube/resource.h"

#include <fmt/format.h>

namespace daemonsetd::kube {
namespace {

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// RFC 3986: everything but the unreserved characters, so that the text fits into a path and into a query.
void AppendEncoded(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    if (IsUnreserved(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

// As upstream's IsValidPathSegmentName: what a proxy could read as another path is no name.
Status AppendSegment(std::string& out, std::string_view what, std::string_view name) {
  const bool usable =
      !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/%\0", 3)) == name.npos;
  if (!usable) return Error(ErrorKind::kInvalid, fmt::format("\"{}\" cannot be the {} of an object", name, what));
  out += '/';
  AppendEncoded(out, name);
  return Ok();
}

void AppendParameter(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  out += out.empty() ? '?' : '&';
  out += key;
  out += '=';
  AppendEncoded(out, value);
}

}  // namespace

std::string ApiVersion(const Resource& resource) {
  if (resource.group.empty()) return std::string(resource.version);
  return fmt::format("{}/{}", resource.group, resource.version);
}

std::string ListKind(const Resource& resource) { return fmt::format("{}List", resource.kind); }

NamespacedName NameOf(const metav1::ObjectMeta& metadata) { return {metadata.namespace_(), metadata.name()}; }

bool SameVersion(const metav1::ObjectMeta& left, const metav1::ObjectMeta& right) {
  return left.uid() == right.uid() && left.resourceversion() == right.resourceversion();
}

std::string ToString(const NamespacedName& name) {
  return name.ns.empty() ? name.name : fmt::format("{}/{}", name.ns, name.name);
}

Result<std::string> CollectionPath(const Resource& resource, std::string_view ns) {
  std::string path = resource.group.empty() ? "/api" : fmt::format("/apis/{}", resource.group);
  path += fmt::format("/{}", resource.version);
  if (!ns.empty()) {
    if (!resource.namespaced) {
      return Error(ErrorKind::kInvalid,
                   fmt::format("{} belong to the cluster, not to namespace {}", resource.plural, ns));
    }
    path += "/namespaces";
    DAEMONSETD_RETURN_IF_ERROR(AppendSegment(path, "namespace", ns));
  }
  path += fmt::format("/{}", resource.plural);
  return path;
}

Result<std::string> ObjectPath(const Resource& resource, const NamespacedName& name, std::string_view subresource) {
  if (resource.namespaced && name.ns.empty()) {
    return Error(ErrorKind::kInvalid, fmt::format("{} {} lacks its namespace", resource.plural, name.name));
  }
  Result<std::string> path = CollectionPath(resource, name.ns);
  if (!path) return path;
  DAEMONSETD_RETURN_IF_ERROR(AppendSegment(*path, "name", name.name));
  if (!subresource.empty()) *path += fmt::format("/{}", subresource);
  return path;
}

std::string QueryText(const ListOptions& options) {
  std::string query;
  AppendParameter(query, "labelSelector", options.label_selector);
  AppendParameter(query, "fieldSelector", options.field_selector);
  if (options.limit > 0) AppendParameter(query, "limit", fmt::to_string(options.limit));
  AppendParameter(query, "continue", options.continue_token);
  AppendParameter(query, "resourceVersion", options.resource_version);
  AppendParameter(query, "resourceVersionMatch", options.resource_version_match);
  if (!options.watch) return query;
  AppendParameter(query, "watch", "true");
  if (options.allow_watch_bookmarks) AppendParameter(query, "allowWatchBookmarks", "true");
  if (options.send_initial_events) AppendParameter(query, "sendInitialEvents", "true");
  if (options.timeout_seconds > Seconds(0)) {
    AppendParameter(query, "timeoutSeconds", fmt::to_string(options.timeout_seconds.count()));
  }
  return query;
}

metav1::DeleteOptions DeleteWith(std::optional<Seconds> grace, std::string_view uid) {
  metav1::DeleteOptions options;
  if (grace) options.set_graceperiodseconds(grace->count());
  if (!uid.empty()) options.mutable_preconditions()->set_uid(std::string(uid));
  return options;
}

}  // namespace daemonsetd::kube
