#include "tests/support/fake_http_transport.h"

#include <algorithm>

#include <fmt/format.h>

#include "agent/kube/codec.h"
#include "agent/kube/watch_machine.h"
#include "kubernetes/runtime.pb.h"

namespace daemonsetd::testing {
namespace {

using google::protobuf::Message;
using kube::HttpResponse;

metav1::ObjectMeta& MetadataOf(Message& object) {
  const auto* field = object.GetDescriptor()->FindFieldByName("metadata");
  return static_cast<metav1::ObjectMeta&>(*object.GetReflection()->MutableMessage(&object, field));
}

std::string Decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string ValueOf(const std::map<std::string, std::string>& query, const std::string& key) {
  const auto found = query.find(key);
  return found == query.end() ? std::string() : found->second;
}

metav1::Status MakeStatus(int code, std::string_view reason, std::string_view message) {
  metav1::Status status;
  status.set_status("Failure");
  status.set_code(code);
  status.set_reason(std::string(reason));
  status.set_message(std::string(message));
  return status;
}

// As the API server says that it never heard of a resourceVersion.
HttpResponse TooLarge() {
  metav1::Status status = MakeStatus(504, "Timeout", "Too large resource version");
  status.mutable_details()->add_causes()->set_reason("ResourceVersionTooLarge");
  return {.status = 504,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", status)};
}

// Only the metadata, as every object of the API begins.
metav1::PartialObjectMetadata MetadataOnly(const std::string& object) {
  metav1::PartialObjectMetadata metadata;
  metadata.ParseFromString(object);
  return metadata;
}

}  // namespace

std::map<std::string, std::string> QueryOf(const kube::HttpRequest& request) {
  std::map<std::string, std::string> query;
  const std::size_t mark = request.target.find('?');
  if (mark == std::string::npos) return query;
  std::string_view rest = std::string_view(request.target).substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    query[Decoded(pair.substr(0, equals))] = Decoded(pair.substr(equals + 1));
  }
  return query;
}

std::string PathOf(const kube::HttpRequest& request) { return request.target.substr(0, request.target.find('?')); }

HttpResponse StatusResponse(int code, std::string_view reason, std::string_view message) {
  return {.status = code,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject("v1", "Status", MakeStatus(code, reason, message))};
}

HttpResponse ObjectResponse(const kube::Resource& resource, const google::protobuf::MessageLite& object) {
  return {.status = 200,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject(kube::ApiVersion(resource), resource.kind, object)};
}

std::string FrameOf(std::string_view type, std::string_view api_version, std::string_view kind,
                    const google::protobuf::MessageLite& object) {
  metav1::WatchEvent event;
  event.set_type(std::string(type));
  event.mutable_object()->set_raw(kube::EncodeObject(api_version, kind, object));
  const std::string bytes = event.SerializeAsString();
  std::string frame;
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(bytes.size() >> shift);
  return frame + bytes;
}

// What a stream of a watch still has to bring.
struct FakeHttpTransport::Pipe {
  explicit Pipe(const async::Executor& executor) : wake(executor) {}
  std::string bytes;
  std::uint64_t from = 0;  // as the API server: what is not newer is not told, even after a restore
  bool ended = false;
  bool broken = false;
  std::optional<MonoTime> ends_at;
  async::Wake wake;
};

class FakeHttpTransport::Stream final : public kube::HttpStream {
 public:
  Stream(FakeHttpTransport& transport, std::shared_ptr<Pipe> pipe) : transport_(transport), pipe_(std::move(pipe)) {}

  Task<Result<std::string>> Read(MonoTime deadline) override {
    for (;;) {
      if (!pipe_->bytes.empty() && !transport_.silent_) {
        const std::size_t size = transport_.piece_size_ ? transport_.piece_size_ : pipe_->bytes.size();
        std::string piece = pipe_->bytes.substr(0, size);
        pipe_->bytes.erase(0, piece.size());
        co_return piece;
      }
      if (pipe_->broken) co_return Error(ErrorKind::kRetry, "connection reset by peer");
      const MonoTime now = transport_.timeline_.mono();
      const bool over = pipe_->ends_at && now >= *pipe_->ends_at && !transport_.silent_;
      if (pipe_->ended || over) co_return std::string();
      if (now >= deadline) co_return Error(ErrorKind::kTimeout, "nothing came in time");
      MonoTime until = deadline;
      if (pipe_->ends_at && *pipe_->ends_at > now) until = std::min(until, *pipe_->ends_at);
      co_await pipe_->wake.WaitUntil(transport_.timeline_, until);
    }
  }

 private:
  FakeHttpTransport& transport_;
  std::shared_ptr<Pipe> pipe_;
};

FakeHttpTransport::FakeHttpTransport(async::Executor executor, async::Timeline& timeline, kube::Resource resource)
    : executor_(std::move(executor)), timeline_(timeline), resource_(resource), content_(std::make_unique<Content>()) {}
FakeHttpTransport::~FakeHttpTransport() = default;

std::string FakeHttpTransport::version() const { return fmt::to_string(content_->version); }

void FakeHttpTransport::Put(const Message& object) {
  const std::unique_ptr<Message> stored(object.New());
  stored->CopyFrom(object);
  metav1::ObjectMeta& metadata = MetadataOf(*stored);
  const kube::NamespacedName name = kube::NameOf(metadata);
  const auto before = content_->objects.find(name);
  const bool is_new = before == content_->objects.end();
  if (!is_new) {
    metadata.set_uid(MetadataOnly(before->second).metadata().uid());
  } else if (metadata.uid().empty()) {
    metadata.set_uid(fmt::format("uid-{}", ++uids_));
  }
  metadata.set_resourceversion(fmt::to_string(++content_->version));
  std::string bytes = stored->SerializeAsString();
  content_->objects[name] = bytes;
  Tell(Change{.version = content_->version, .type = is_new ? "ADDED" : "MODIFIED", .object = std::move(bytes)});
}

void FakeHttpTransport::Remove(const kube::NamespacedName& name) {
  const auto found = content_->objects.find(name);
  if (found == content_->objects.end()) return;
  // The last state, with the version of the deletion; what is behind the metadata is kept as unknown fields.
  metav1::PartialObjectMetadata last = MetadataOnly(found->second);
  last.mutable_metadata()->set_resourceversion(fmt::to_string(++content_->version));
  content_->objects.erase(found);
  Tell(Change{.version = content_->version, .type = "DELETED", .object = last.SerializeAsString()});
}

void FakeHttpTransport::Compact() {
  history_.clear();
  compacted_ = content_->version;
}

FakeHttpTransport::Backup FakeHttpTransport::Save() const { return {*content_}; }

void FakeHttpTransport::Restore(const Backup& backup) {
  *content_ = backup.content;
  std::erase_if(history_, [&](const Change& change) { return change.version > content_->version; });
  BreakStreams();
}

void FakeHttpTransport::AnswerFrom(const Backup& backup, int answers) {
  old_ = std::make_unique<Content>(backup.content);
  old_answers_ = answers;
}

std::string FakeHttpTransport::FrameAt(std::string_view type, std::string object) const {
  // Any message does: the bytes are the object's already.
  metav1::PartialObjectMetadata bytes;
  bytes.ParseFromString(object);
  return FrameOf(type, kube::ApiVersion(resource_), resource_.kind, bytes);
}

std::string FakeHttpTransport::Bookmark(std::uint64_t version, bool end) const {
  metav1::PartialObjectMetadata bookmark;
  bookmark.mutable_metadata()->set_resourceversion(fmt::to_string(version));
  if (end) (*bookmark.mutable_metadata()->mutable_annotations())[std::string(kube::kInitialEventsEnd)] = "true";
  return FrameOf("BOOKMARK", kube::ApiVersion(resource_), resource_.kind, bookmark);
}

void FakeHttpTransport::Tell(const Change& change) {
  history_.push_back(change);
  SendToStreams(FrameAt(change.type, change.object), change.version);
}

void FakeHttpTransport::SendToStreams(const std::string& bytes, std::uint64_t version) {
  for (const auto& weak : pipes_) {
    if (const auto pipe = weak.lock(); pipe && version > pipe->from) {
      pipe->bytes += bytes;
      pipe->wake.Notify();
    }
  }
}

void FakeHttpTransport::SendBookmarks() { SendToStreams(Bookmark(content_->version, false), content_->version); }

void FakeHttpTransport::Silence(bool silent) {
  silent_ = silent;
  SendToStreams("");  // they look again
}

void FakeHttpTransport::EndStreams() {
  for (const auto& weak : std::exchange(pipes_, {})) {
    if (const auto pipe = weak.lock()) {
      pipe->ended = true;
      pipe->wake.Notify();
    }
  }
}

void FakeHttpTransport::BreakStreams() {
  for (const auto& weak : std::exchange(pipes_, {})) {
    if (const auto pipe = weak.lock()) {
      pipe->broken = true;
      pipe->wake.Notify();
    }
  }
}

int FakeHttpTransport::open_streams() const {
  return static_cast<int>(
      std::count_if(pipes_.begin(), pipes_.end(), [](const auto& pipe) { return !pipe.expired(); }));
}

std::optional<FakeHttpTransport::Fault> FakeHttpTransport::TakeFault() {
  if (faults_.empty()) return std::nullopt;
  Fault fault = std::move(faults_.front());
  faults_.pop_front();
  return fault;
}

HttpResponse FakeHttpTransport::ListPage(const std::map<std::string, std::string>& query) {
  const std::string token = ValueOf(query, "continue");
  if (!token.empty() && expire_tokens_)
    return StatusResponse(410, "Expired", "the provided continue parameter is too old");
  const Content& content = old_answers_ > 0 ? *old_ : *content_;
  if (old_answers_ > 0) --old_answers_;
  const std::string limit_text = ValueOf(query, "limit");
  const std::size_t limit = limit_text.empty() ? content.objects.size() : std::stoul(limit_text);
  // Every list has this form; the items are the objects' bytes.
  metav1::PartialObjectMetadataList list;
  list.mutable_metadata()->set_resourceversion(fmt::to_string(content.version));
  std::string after;
  for (const auto& [name, object] : content.objects) {
    if (kube::ToString(name) <= token && !token.empty()) continue;
    if (static_cast<std::size_t>(list.items_size()) == limit) {
      list.mutable_metadata()->set_continue_(after);
      break;
    }
    list.add_items()->ParseFromString(object);
    after = kube::ToString(name);
  }
  return {.status = 200,
          .content_type = std::string(kube::kProtobufType),
          .body = kube::EncodeObject(kube::ApiVersion(resource_), kube::ListKind(resource_), list)};
}

Task<Result<HttpResponse>> FakeHttpTransport::Send(kube::HttpRequest request, MonoTime) {
  requests_.push_back(request);
  if (auto fault = TakeFault()) {
    if (const auto* error = std::get_if<Error>(&*fault)) co_return *error;
    co_return std::get<HttpResponse>(std::move(*fault));
  }
  const bool is_list = request.method == "GET" && PathOf(request).ends_with(fmt::format("/{}", resource_.plural));
  if (is_list) co_return ListPage(QueryOf(request));
  co_return StatusResponse(404, "NotFound", "nothing is staged for this request");
}

kube::HttpStreamStart FakeHttpTransport::Opened(std::string first, std::uint64_t from,
                                                const std::map<std::string, std::string>& query) {
  auto pipe = std::make_shared<Pipe>(executor_);
  pipe->bytes = std::move(first);
  pipe->from = from;
  const std::string timeout = ValueOf(query, "timeoutSeconds");
  if (!timeout.empty()) pipe->ends_at = timeline_.mono() + Seconds(std::stoll(timeout));
  std::erase_if(pipes_, [](const auto& old) { return old.expired(); });
  pipes_.push_back(pipe);
  kube::HttpStreamStart start;
  start.response = {.status = 200, .content_type = std::string(kube::kProtobufWatchType)};
  start.stream = std::make_unique<Stream>(*this, std::move(pipe));
  return start;
}

Result<kube::HttpStreamStart> FakeHttpTransport::StartWatch(const std::map<std::string, std::string>& query) {
  const auto refused = [](HttpResponse response) {
    kube::HttpStreamStart start;
    start.response = std::move(response);
    return start;
  };
  const std::string asked = ValueOf(query, "resourceVersion");
  const std::uint64_t version = asked.empty() ? 0 : std::stoull(asked);
  std::string first;
  if (ValueOf(query, "sendInitialEvents") == "true") {
    if (refuse_watch_lists_) {
      return refused(StatusResponse(422, "Invalid", "sendInitialEvents: Forbidden: the WatchList feature is disabled"));
    }
    const Content& content = old_answers_ > 0 ? *old_ : *content_;
    if (old_answers_ > 0) {
      --old_answers_;
    } else if (version > content.version) {
      return refused(TooLarge());
    }
    for (const auto& [name, object] : content.objects) first += FrameAt("ADDED", object);
    first += Bookmark(content.version, true);
    return Opened(std::move(first), content.version, query);
  }
  if (version < compacted_) {
    if (!gone_in_stream_) return refused(StatusResponse(410, "Expired", "too old resource version"));
    return Opened(FrameOf("ERROR", "v1", "Status", MakeStatus(410, "Expired", "too old resource version")), version,
                  query);
  }
  for (const Change& change : history_) {
    if (change.version > version) first += FrameAt(change.type, change.object);
  }
  return Opened(std::move(first), version, query);
}

Task<Result<kube::HttpStreamStart>> FakeHttpTransport::Open(kube::HttpRequest request, MonoTime) {
  requests_.push_back(request);
  if (auto fault = TakeFault()) {
    if (const auto* error = std::get_if<Error>(&*fault)) co_return *error;
    kube::HttpStreamStart start;
    start.response = std::get<HttpResponse>(std::move(*fault));
    co_return start;
  }
  co_return StartWatch(QueryOf(request));
}

}  // namespace daemonsetd::testing
