#include "agent/pods/volumes/projected_files.h"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace daemonsetd::pods {
namespace {

constexpr mode_t kDefaultMode = 0644;
// An object has at most about 1.5 MiB; a volume projects a few.
constexpr std::size_t kMaxVolume = std::size_t{32} << 20;

using KeyItems = google::protobuf::RepeatedPtrField<corev1::KeyToPath>;
using DownwardItems = google::protobuf::RepeatedPtrField<corev1::DownwardAPIVolumeFile>;

// How files are made unless an item says otherwise.
struct FileDefaults {
  mode_t mode = kDefaultMode;
  std::optional<uid_t> user;
};

template <class Source>
FileDefaults DefaultsOf(const Source& source) {
  FileDefaults defaults;
  if (source.has_defaultmode()) defaults.mode = static_cast<mode_t>(source.defaultmode());
  if (source.has_defaultuser()) defaults.user = static_cast<uid_t>(source.defaultuser());
  return defaults;
}

template <class Item>
WantedFile MakeFile(std::string content, const Item& item, const FileDefaults& defaults) {
  WantedFile file{.content = std::move(content), .mode = defaults.mode, .user = defaults.user};
  if (item.has_mode()) file.mode = static_cast<mode_t>(item.mode());
  if (item.has_user()) file.user = static_cast<uid_t>(item.user());
  return file;
}

std::optional<std::string> ValueOf(const corev1::ConfigMap& object, const std::string& key) {
  if (const auto text = object.data().find(key); text != object.data().end()) return text->second;
  if (const auto data = object.binarydata().find(key); data != object.binarydata().end()) return data->second;
  return std::nullopt;
}

std::optional<std::string> ValueOf(const corev1::Secret& object, const std::string& key) {
  const auto data = object.data().find(key);
  return data == object.data().end() ? std::nullopt : std::optional<std::string>(data->second);
}

void AddEveryKey(const corev1::ConfigMap& object, const FileDefaults& defaults, WantedFiles& files) {
  const WantedFile empty{.content = {}, .mode = defaults.mode, .user = defaults.user};
  for (const auto* values : {&object.data(), &object.binarydata()}) {
    for (const auto& [key, value] : *values) (files.files[key] = empty).content = value;
  }
}

void AddEveryKey(const corev1::Secret& object, const FileDefaults& defaults, WantedFiles& files) {
  for (const auto& [key, value] : object.data()) {
    files.files[key] = {.content = value, .mode = defaults.mode, .user = defaults.user};
  }
}

// `kind`: "configmap" or "secret"; `key_word`: what the kubelet calls a key of it.
template <class Object>
Status AddKeys(const Result<const Object*>& found, const KeyItems& items, bool optional, const FileDefaults& defaults,
               std::string_view kind, std::string_view key_word, const std::string& name, WantedFiles& files) {
  if (!found) {
    if (optional && found.error().kind() == ErrorKind::kAbsent) return Ok();
    return found.error();
  }
  if (items.empty()) {
    AddEveryKey(**found, defaults, files);
    return Ok();
  }
  for (const corev1::KeyToPath& item : items) {
    std::optional<std::string> value = ValueOf(**found, item.key());
    if (!value && optional) continue;
    if (!value) {
      return Error(ErrorKind::kAbsent,
                   fmt::format("{} \"{}\" references non-existent {}: {}", kind, name, key_word, item.key()));
    }
    files.files[item.path()] = MakeFile(std::move(*value), item, defaults);
  }
  return Ok();
}

// `Source`: a volume's source or a projection of it.
template <class Source>
Status AddConfigMap(const Source& source, const NamedObjects& objects, const FileDefaults& defaults,
                    WantedFiles& files) {
  const std::string& name = source.localobjectreference().name();
  return AddKeys(FindConfigMap(objects, name), source.items(), source.optional(), defaults, "configmap", "config key",
                 name, files);
}

template <class Source>
Status AddSecret(const std::string& name, const Source& source, const NamedObjects& objects,
                 const FileDefaults& defaults, WantedFiles& files) {
  return AddKeys(FindSecret(objects, name), source.items(), source.optional(), defaults, "secret", "secret key", name,
                 files);
}

// Go's %q: printable text as it is, the rest escaped.
std::string Quoted(std::string_view text) {
  constexpr std::string_view kEscaped = "\a\b\f\n\r\t\v\\\"";
  constexpr std::string_view kLetters = "abfnrtv\\\"";
  std::string quoted = "\"";
  for (const char character : text) {
    const std::size_t known = kEscaped.find(character);
    const auto byte = static_cast<unsigned char>(character);
    if (known != std::string_view::npos) {
      quoted += {'\\', kLetters[known]};
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += character;
    }
  }
  return quoted + '"';
}

// pkg/fieldpath FormatMap: `key="value"`, sorted, a line each.
template <class Map>
std::string FormatMap(const Map& map) {
  const std::map<std::string, std::string> sorted(map.begin(), map.end());
  std::string text;
  for (const auto& [key, value] : sorted) text += fmt::format("{}{}={}", text.empty() ? "" : "\n", key, Quoted(value));
  return text;
}

Result<std::string> DownwardValue(const corev1::Pod& pod, const corev1::DownwardAPIVolumeFile& item,
                                  const PodFacts& facts) {
  if (item.has_fieldref()) {
    const std::string& path = item.fieldref().fieldpath();
    if (path == "metadata.labels") return FormatMap(pod.metadata().labels());
    if (path == "metadata.annotations") return FormatMap(pod.metadata().annotations());
    return FieldValue(pod, path, facts);
  }
  if (item.has_resourcefieldref()) {
    if (item.resourcefieldref().containername().empty() || pod.spec().containers().empty()) {
      return Error(ErrorKind::kInvalid, "resourceFieldRef must name a container");
    }
    return ResourceValue(pod, pod.spec().containers(0), item.resourcefieldref(), facts);
  }
  return Error(ErrorKind::kInvalid, "names neither fieldRef nor resourceFieldRef");
}

Status AddDownward(const corev1::Pod& pod, const DownwardItems& items, const FileDefaults& defaults,
                   const PodFacts& facts, WantedFiles& files) {
  for (const corev1::DownwardAPIVolumeFile& item : items) {
    Result<std::string> value = DownwardValue(pod, item, facts);
    if (!value) return value.error().WithContext(fmt::format("downwardAPI {}", item.path()));
    files.files[item.path()] = MakeFile(std::move(*value), item, defaults);
  }
  return Ok();
}

// Not for everybody to read when one user or group is known to need it.
WantedFile TokenFile(const corev1::PodSpec& spec, const corev1::ServiceAccountTokenProjection& source,
                     const FileDefaults& defaults, std::string value) {
  WantedFile file{.content = std::move(value), .mode = defaults.mode, .user = defaults.user};
  const std::optional<std::int64_t> user = UserOfAllContainers(spec);
  if (user || spec.securitycontext().has_fsgroup()) file.mode = 0600;
  if (user) file.user = static_cast<uid_t>(*user);
  if (source.has_user()) file.user = static_cast<uid_t>(source.user());
  return file;
}

Status AddProjected(const corev1::Pod& pod, const corev1::ProjectedVolumeSource& source, const NamedObjects& objects,
                    const TokenValues& tokens, const PodFacts& facts, WantedFiles& files) {
  const FileDefaults defaults = DefaultsOf(source);
  for (int i = 0; i < source.sources_size(); ++i) {
    const corev1::VolumeProjection& from = source.sources(i);
    if (from.has_configmap()) {
      DAEMONSETD_RETURN_IF_ERROR(AddConfigMap(from.configmap(), objects, defaults, files));
    } else if (from.has_secret()) {
      DAEMONSETD_RETURN_IF_ERROR(
          AddSecret(from.secret().localobjectreference().name(), from.secret(), objects, defaults, files));
    } else if (from.has_downwardapi()) {
      DAEMONSETD_RETURN_IF_ERROR(AddDownward(pod, from.downwardapi().items(), defaults, facts, files));
    } else if (from.has_serviceaccounttoken()) {
      const auto token = tokens.find(i);
      if (token == tokens.end()) return Error(ErrorKind::kFatal, "a token was not asked for");
      files.files[from.serviceaccounttoken().path()] =
          TokenFile(pod.spec(), from.serviceaccounttoken(), defaults, token->second);
    } else if (from.has_clustertrustbundle()) {
      return Error(ErrorKind::kUnsupported, "projected source clusterTrustBundle is not supported yet");
    } else if (from.has_podcertificate()) {
      return Error(ErrorKind::kUnsupported, "projected source podCertificate is not supported yet");
    } else {
      return Error(ErrorKind::kInvalid, fmt::format("projected source {} names nothing", i));
    }
  }
  return Ok();
}

Status Check(const WantedFiles& files) {
  std::size_t bytes = 0;
  for (const auto& [path, file] : files.files) {
    DAEMONSETD_RETURN_IF_ERROR(CheckFilePath(path));
    bytes += file.content.size();
  }
  if (bytes > kMaxVolume) {
    return Error(ErrorKind::kInvalid, fmt::format("its files have {} bytes; a volume may have {}", bytes, kMaxVolume));
  }
  return Ok();
}

Status AddFiles(const corev1::Pod& pod, const corev1::VolumeSource& source, const NamedObjects& objects,
                const TokenValues& tokens, const PodFacts& facts, WantedFiles& files) {
  if (source.has_configmap()) {
    return AddConfigMap(source.configmap(), objects, DefaultsOf(source.configmap()), files);
  }
  if (source.has_secret()) {
    return AddSecret(source.secret().secretname(), source.secret(), objects, DefaultsOf(source.secret()), files);
  }
  if (source.has_downwardapi()) {
    return AddDownward(pod, source.downwardapi().items(), DefaultsOf(source.downwardapi()), facts, files);
  }
  return AddProjected(pod, source.projected(), objects, tokens, facts, files);
}

}  // namespace

std::optional<std::int64_t> UserOfAllContainers(const corev1::PodSpec& spec) {
  std::optional<std::int64_t> user;
  for (const auto* containers : {&spec.initcontainers(), &spec.containers()}) {
    for (const corev1::Container& container : *containers) {
      const bool own = container.securitycontext().has_runasuser();
      if (!own && !spec.securitycontext().has_runasuser()) return std::nullopt;
      const std::int64_t this_user = own ? container.securitycontext().runasuser() : spec.securitycontext().runasuser();
      if (user && *user != this_user) return std::nullopt;
      user = this_user;
    }
  }
  return user;
}

std::set<std::string> MountPointsIn(const corev1::PodSpec& spec, const std::string& volume) {
  const auto normal = [](const corev1::VolumeMount& mount) {
    return std::filesystem::path(mount.mountpath() + "/").lexically_normal().string();
  };
  std::set<std::string> points;
  for (const auto* containers : {&spec.initcontainers(), &spec.containers()}) {
    for (const corev1::Container& container : *containers) {
      for (const corev1::VolumeMount& outer : container.volumemounts()) {
        if (outer.name() != volume || !outer.subpath().empty() || !outer.subpathexpr().empty()) continue;
        for (const corev1::VolumeMount& inner : container.volumemounts()) {
          const std::string place = normal(inner);
          if (!place.starts_with(normal(outer)) || place == normal(outer)) continue;
          const std::string below = place.substr(normal(outer).size());
          if (const std::string path = below.substr(0, below.size() - 1); CheckFilePath(path)) points.insert(path);
        }
      }
    }
  }
  return points;
}

Result<WantedFiles> FilesOf(const corev1::Pod& pod, const corev1::Volume& volume, const NamedObjects& objects,
                            const TokenValues& tokens, const PodFacts& facts) {
  WantedFiles files;
  if (pod.spec().securitycontext().has_fsgroup()) {
    files.group = static_cast<gid_t>(pod.spec().securitycontext().fsgroup());
  }
  files.mount_points = MountPointsIn(pod.spec(), volume.name());
  DAEMONSETD_RETURN_IF_ERROR(AddFiles(pod, volume.volumesource(), objects, tokens, facts, files));
  DAEMONSETD_RETURN_IF_ERROR(Check(files));
  return files;
}

}  // namespace daemonsetd::pods
