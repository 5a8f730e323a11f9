// An HttpTransport that behaves like an API server for one resource: storage with resourceVersions, lists by pages,
// watches with bookmarks, history that can be compacted or restored; and faults on demand. Other requests are answered
// from a script.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <google/protobuf/message.h>

#include "agent/async/timeline.h"
#include "agent/async/wake.h"
#include "agent/kube/http.h"
#include "agent/kube/resource.h"
#include "agent/model/kubernetes.h"

namespace daemonsetd::testing {

// The parameters of a request's target, decoded.
std::map<std::string, std::string> QueryOf(const kube::HttpRequest& request);
std::string PathOf(const kube::HttpRequest& request);

// A metav1.Status as the body of an answer.
kube::HttpResponse StatusResponse(int code, std::string_view reason, std::string_view message);
kube::HttpResponse ObjectResponse(const kube::Resource& resource, const google::protobuf::MessageLite& object);
// A frame of a watch, with its length.
std::string FrameOf(std::string_view type, std::string_view api_version, std::string_view kind,
                    const google::protobuf::MessageLite& object);

class FakeHttpTransport final : public kube::HttpTransport {
 public:
  using Fault = std::variant<kube::HttpResponse, Error>;
  // What one moment of the server holds, to go back to.
  struct Backup;

  // `timeline` must outlive it.
  FakeHttpTransport(async::Executor executor, async::Timeline& timeline, kube::Resource resource);
  ~FakeHttpTransport() override;

  // Storage. Put sets resourceVersion, and the uid of a new object that has none; both tell the open watches.
  void Put(const google::protobuf::Message& object);
  void Remove(const kube::NamespacedName& name);
  std::string version() const;
  // Forgets the history: watches from before are answered with 410.
  void Compact();
  Backup Save() const;
  // As a restored etcd: the present, and the resourceVersions, are those of the backup. Open watches break.
  void Restore(const Backup& backup);

  // Faults. Requests that match nothing staged are served.
  void FailNext(Fault fault) { faults_.push_back(std::move(fault)); }
  void RefuseWatchLists(bool refuse) { refuse_watch_lists_ = refuse; }
  // 410 comes as an ERROR event after "200 OK" instead of as a status.
  void GoneInStream(bool in_stream) { gone_in_stream_ = in_stream; }
  // The next `answers` lists and watch lists come from `backup`, whatever they ask for.
  void AnswerFrom(const Backup& backup, int answers);
  void EndStreams();
  void BreakStreams();
  // Streams stay open and bring nothing.
  void Silence(bool silent);
  void SendBookmarks();
  // To those that do not know `version` yet.
  void SendToStreams(const std::string& bytes, std::uint64_t version = ~std::uint64_t{0});
  // Streams bring at most so many bytes at once.
  void CutPieces(std::size_t bytes) { piece_size_ = bytes; }
  // Tokens of lists under way are too old.
  void ExpireTokens(bool expire) { expire_tokens_ = expire; }

  // What was asked, watches included.
  const std::vector<kube::HttpRequest>& requests() const { return requests_; }
  void ForgetRequests() { requests_.clear(); }
  int open_streams() const;

  Task<Result<kube::HttpResponse>> Send(kube::HttpRequest request, MonoTime deadline) override;
  Task<Result<kube::HttpStreamStart>> Open(kube::HttpRequest request, MonoTime deadline) override;

 private:
  struct Pipe;
  class Stream;
  struct Change;
  struct Content;

  std::optional<Fault> TakeFault();
  std::string FrameAt(std::string_view type, std::string object) const;
  std::string Bookmark(std::uint64_t version, bool end) const;
  void Tell(const Change& change);
  kube::HttpResponse ListPage(const std::map<std::string, std::string>& query);
  Result<kube::HttpStreamStart> StartWatch(const std::map<std::string, std::string>& query);
  kube::HttpStreamStart Opened(std::string first, std::uint64_t from, const std::map<std::string, std::string>& query);

  async::Executor executor_;
  async::Timeline& timeline_;
  const kube::Resource resource_;
  std::unique_ptr<Content> content_;
  std::unique_ptr<Content> old_;  // what AnswerFrom serves
  int old_answers_ = 0;
  std::vector<Change> history_;
  std::uint64_t compacted_ = 0;
  std::uint64_t uids_ = 0;
  std::deque<Fault> faults_;
  bool refuse_watch_lists_ = false;
  bool gone_in_stream_ = false;
  bool expire_tokens_ = false;
  bool silent_ = false;
  std::size_t piece_size_ = 0;
  std::vector<kube::HttpRequest> requests_;
  std::vector<std::weak_ptr<Pipe>> pipes_;
};

struct FakeHttpTransport::Content {
  std::uint64_t version = 1;
  std::map<kube::NamespacedName, std::string> objects;  // serialized
};

struct FakeHttpTransport::Backup {
  Content content;
};

struct FakeHttpTransport::Change {
  std::uint64_t version;
  std::string_view type;
  std::string object;
};

}  // namespace daemonsetd::testing
