#include "agent/kube/transport/credentials.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/base/log.h"
#include "agent/kube/transport/files.h"

namespace daemonsetd::kube {
namespace {

constexpr Nanoseconds kLookInterval = Seconds(1);
constexpr std::size_t kMaximumPem = std::size_t{1} << 20;
constexpr std::size_t kMaximumToken = std::size_t{64} << 10;

struct WatchedFile {
  std::string path;
  FileState state;
};

// A file of the kubeconfig's, and its state from before it was read: what is written meanwhile is seen the next time.
Result<std::string> ReadWatched(const std::string& path, std::size_t limit, std::vector<WatchedFile>& files) {
  files.push_back({.path = path, .state = StateOf(path)});
  return ReadSmallFile(path, limit);
}

bool Unchanged(const std::vector<WatchedFile>& files) {
  return std::all_of(files.begin(), files.end(),
                     [](const WatchedFile& file) { return StateOf(file.path) == file.state; });
}

Result<std::string> ReadToken(const std::string& path, std::vector<WatchedFile>& files) {
  Result<std::string> token = ReadWatched(path, kMaximumToken, files);
  if (!token) return token.error();
  const std::size_t first = token->find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return Error(ErrorKind::kDenied, "is empty; write the token into it");
  std::string bare = token->substr(first, token->find_last_not_of(" \t\r\n") + 1 - first);
  if (!std::all_of(bare.begin(), bare.end(), [](char c) { return c > ' ' && c <= '~'; })) {
    return Error(ErrorKind::kDenied, "holds more than a token; write one token and nothing else");
  }
  return bare;
}

}  // namespace

struct Credentials::Loaded {
  std::shared_ptr<const Access> access;  // null when nothing could be loaded yet
  std::optional<Error> problem;          // of the newest look; `access` is then what was good before
  std::vector<WatchedFile> files;        // without the token file
  std::vector<WatchedFile> token_file;   // at most one
  std::string token_problem_prefix;      // "kubeconfig: user "a": tokenFile"
  std::string fingerprint;               // of all that connections are made with
};

namespace {

// Reads everything anew.
template <class Loaded>
class Loader {
 public:
  Loader(const std::string& path, const Loaded* before, Loaded& out) : path_(path), before_(before), out_(out) {}

  Status Load() {
    const Result<std::string> text = ReadWatched(path_, kMaxKubeconfig, out_.files);
    if (!text) return text.error().WithContext("kubeconfig " + path_);
    const KubeconfigResult parsed = ParseKubeconfig(*text, path_);
    if (!parsed.kubeconfig) {
      return Error(ErrorKind::kDenied, "kubeconfig " + ReasonsOf(parsed));
    }
    const Kubeconfig& config = *parsed.kubeconfig;
    auto access = std::make_shared<Access>();
    access->server = config.server;
    access->server_name = config.tls_server_name.empty() ? config.server.host : config.tls_server_name;
    access->token = config.token;
    Add(ToString(config.server));
    Add(access->server_name);
    if (config.server.tls) DAEMONSETD_RETURN_IF_ERROR(LoadTls(config, *access));
    if (!config.token_file.empty()) {
      out_.token_problem_prefix = Field("user", config.user, "tokenFile", config.token_file);
      Result<std::string> token = ReadToken(config.token_file, out_.token_file);
      if (!token) return token.error().WithContext(out_.token_problem_prefix);
      access->token = std::move(*token);
    }
    out_.fingerprint = Sha256(material_);
    const Access* old = before_ != nullptr ? before_->access.get() : nullptr;
    access->generation = old == nullptr ? 1 : old->generation;
    if (old != nullptr && before_->fingerprint != out_.fingerprint) ++access->generation;
    out_.access = std::move(access);
    return Ok();
  }

 private:
  std::string Field(std::string_view kind, const std::string& name, std::string_view field, const std::string& file) {
    return fmt::format("kubeconfig {}: {} \"{}\": {}{}", path_, kind, name, field,
                       file.empty() ? "" : fmt::format(" ({})", file));
  }

  void Add(const std::string& part) { material_ += fmt::format("{}:{}", part.size(), part); }

  using Use = Status (*)(const TlsContext&, const std::string&);
  Status Apply(const PemSource& source, const TlsContext& tls, Use use, const std::string& context) {
    const Result<std::string> pem =
        source.file.empty() ? Result<std::string>(source.text) : ReadWatched(source.file, kMaximumPem, out_.files);
    if (!pem) return pem.error().WithContext(context);
    Add(*pem);
    if (const Status used = use(tls, *pem); !used) return used.error().WithContext(context);
    return Ok();
  }

  Status LoadTls(const Kubeconfig& config, Access& access) {
    access.tls = NewTlsContext();
    const std::string authority =
        Field("cluster", config.cluster, "certificate-authority", config.certificate_authority.file);
    if (config.certificate_authority.given()) {
      DAEMONSETD_RETURN_IF_ERROR(Apply(config.certificate_authority, access.tls, TrustAuthorities, authority));
    } else if (const Status trusted = TrustSystemAuthorities(access.tls); !trusted) {
      return trusted.error().WithContext(authority);
    }
    if (!config.client_certificate.given()) return Ok();
    DAEMONSETD_RETURN_IF_ERROR(Apply(config.client_certificate, access.tls, UseCertificate,
                                     Field("user", config.user, "client-certificate", config.client_certificate.file)));
    return Apply(config.client_key, access.tls, UseKey,
                 Field("user", config.user, "client-key", config.client_key.file));
  }

  const std::string& path_;
  const Loaded* before_;
  Loaded& out_;
  std::string material_;
};

}  // namespace

std::shared_ptr<const Credentials::Loaded> Credentials::Look(const std::string& path,
                                                             const std::shared_ptr<const Loaded>& before) {
  auto found = std::make_shared<Loaded>();
  if (before && !before->problem && Unchanged(before->files)) {
    if (Unchanged(before->token_file)) return before;
    *found = *before;
    const std::string token_path = found->token_file[0].path;
    found->token_file.clear();
    Result<std::string> token = ReadToken(token_path, found->token_file);
    if (token) {
      auto access = std::make_shared<Access>(*before->access);
      access->token = std::move(*token);
      found->access = std::move(access);
    } else {
      found->problem = token.error().WithContext(found->token_problem_prefix);
    }
    return found;
  }
  if (const Status loaded = Loader<Loaded>(path, before.get(), *found).Load(); !loaded) {
    found->problem = loaded.error();
    if (before) {
      found->access = before->access;
      found->fingerprint = before->fingerprint;
    }
  }
  return found;
}

Credentials::Credentials(async::Executor executor, async::Timeline& timeline, async::BlockingPool& pool,
                         std::string kubeconfig_path)
    : timeline_(timeline),
      path_(std::move(kubeconfig_path)),
      calls_(executor, pool),
      looking_(std::move(executor), 1) {}

void Credentials::Take(std::shared_ptr<const Loaded> found) {
  const auto reason = [](const Loaded* loaded) {
    return loaded != nullptr && loaded->problem ? loaded->problem->message() : std::string();
  };
  const std::string now = reason(found.get());
  if (found->access && now != reason(loaded_.get())) {
    if (now.empty()) {
      log::Info("the credentials for the API server are usable again", {{"kubeconfig", path_}});
    } else {
      log::Warning("changed credentials for the API server can't be used, the earlier ones stay in use",
                   {{"kubeconfig", path_}, {"err", now}});
    }
  }
  if (loaded_ && loaded_->access && found->access && loaded_->access->generation != found->access->generation) {
    log::Info("the credentials for the API server changed, connections are made anew", {{"kubeconfig", path_}});
  }
  loaded_ = std::move(found);
  next_look_ = timeline_.mono() + kLookInterval;
}

Task<Result<std::shared_ptr<const Access>>> Credentials::Get() {
  const async::Semaphore::Permit alone = co_await looking_.Acquire();
  if (!loaded_ || timeline_.mono() >= next_look_) {
    std::function<std::shared_ptr<const Loaded>()> look = [path = path_, before = loaded_] {
      return Look(path, before);
    };
    Take(co_await calls_.Run(std::move(look)));
  }
  if (!loaded_->access) co_return *loaded_->problem;
  co_return loaded_->access;
}

}  // namespace daemonsetd::kube
