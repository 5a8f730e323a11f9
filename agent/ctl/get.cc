#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "agent/ctl/commands.h"
#include "agent/ctl/label_filter.h"
#include "agent/ctl/tables.h"
#include "agent/ctl/yaml.h"
#include "agent/local/status_json.h"
#include "agent/model/selectors.h"

namespace daemonsetd::ctl {
namespace {

// How each listed kind is fetched, shown and named.
struct DaemonSetKind {
  using Item = statusv1::DaemonSetStatus;
  using List = statusv1::DaemonSetList;
  static constexpr char kPath[] = "/v1/daemonsets";
  static constexpr char kPrefix[] = "daemonset.apps/";
  static Table MakeTable(TableStyle style) { return DaemonSetTable(style); }
  static const Item& FromEvent(const statusv1::WatchEvent& event) { return event.daemon_set(); }
};

struct PodKind {
  using Item = statusv1::PodSummary;
  using List = statusv1::PodSummaryList;
  static constexpr char kPath[] = "/v1/pods";
  static constexpr char kPrefix[] = "pod/";
  static Table MakeTable(TableStyle style) { return PodTable(style); }
  static const Item& FromEvent(const statusv1::WatchEvent& event) { return event.pod(); }
};

template <class Kind_>
class Lister {
 public:
  Lister(const Context& context, const GetRequest& request, metav1::LabelSelector filter)
      : context_(context),
        request_(request),
        filter_(std::move(filter)),
        style_{request.output == Output::kWide, request.all_namespaces},
        table_(Kind_::MakeTable(style_)) {}

  int Once() {
    const Result<std::string> body = context_.client.Get(Target(false));
    if (!body) return Report(context_, body.error());
    typename Kind_::List all;
    if (const Status parsed = local::FromJson(*body, all); !parsed) return Report(context_, parsed.error());
    typename Kind_::List chosen;
    for (const auto& item : all.items()) {
      const Result<bool> wanted = Wanted(item);
      if (!wanted) return Report(context_, wanted.error());
      if (*wanted) *chosen.add_items() = item;
    }
    int code = kExitOk;
    for (const std::string& name : request_.names) {
      const bool found = std::any_of(chosen.items().begin(), chosen.items().end(),
                                     [&name](const auto& item) { return item.name() == name; });
      if (!found) code = ReportMissing(context_, request_.kind, Namespace(), name);
    }
    Print(chosen, code);
    return code;
  }

  int Watch() {
    std::string rest;
    Error failure(ErrorKind::kFatal, "");
    bool failed = false;
    const Client::OnData on_data = [&](std::string_view piece) {
      rest.append(piece);
      for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
        const std::string line = rest.substr(0, end);
        rest.erase(0, end + 1);
        const Status shown = Show(line);
        if (!shown) {
          failure = shown.error();
          failed = true;
          return false;
        }
      }
      // One write for what came together, and columns that know each other.
      Flush();
      return context_.surroundings.out.good();
    };
    const Status streamed = context_.client.Stream(Target(true), on_data);
    if (failed) return Report(context_, failure);
    if (!streamed) return Report(context_, streamed.error());
    return kExitOk;
  }

 private:
  using Item = typename Kind_::Item;

  std::string Namespace() const { return request_.all_namespaces ? std::string() : request_.object_namespace; }
  std::string Target(bool watch) const {
    return MakeTarget(Kind_::kPath, {{"namespace", Namespace()}, {"watch", watch ? "true" : ""}});
  }

  Result<bool> Wanted(const Item& item) const {
    if (!request_.names.empty() &&
        std::find(request_.names.begin(), request_.names.end(), item.name()) == request_.names.end()) {
      return false;
    }
    return model::Matches(filter_, item.labels());
  }

  Status Show(const std::string& line) {
    statusv1::WatchEvent event;
    DAEMONSETD_RETURN_IF_ERROR(local::FromJson(line, event));
    const Item& item = Kind_::FromEvent(event);
    const Result<bool> wanted = Wanted(item);
    if (!wanted) return wanted.error();
    if (!*wanted) return Ok();
    std::ostream& out = context_.surroundings.out;
    switch (request_.output) {
      case Output::kJson: out << local::ToJson(item) << '\n'; break;
      case Output::kYaml: out << "---\n" << Serialise(item, Output::kYaml); break;
      case Output::kName: out << Kind_::kPrefix << item.name() << '\n'; break;
      case Output::kTable:
      case Output::kWide: AddRow(table_, style_, item, context_.surroundings.now()); break;
    }
    return Ok();
  }

  void Flush() {
    if (!table_.empty()) {
      context_.surroundings.out << table_.Render(request_.heads && !heads_shown_);
      heads_shown_ = true;
    }
    context_.surroundings.out.flush();
  }

  void Print(const typename Kind_::List& chosen, int code) {
    std::ostream& out = context_.surroundings.out;
    if (request_.output == Output::kJson || request_.output == Output::kYaml) {
      // One object when one was asked for by name, else the list, as kubectl does.
      if (request_.names.size() == 1 && chosen.items_size() == 1) {
        out << Serialise(chosen.items(0), request_.output);
      } else if (code == kExitOk) {
        out << Serialise(chosen, request_.output);
      }
      return;
    }
    if (chosen.items().empty() && code == kExitOk) {
      context_.surroundings.err << (request_.all_namespaces ? std::string("No resources found\n")
                                                            : fmt::format("No resources found in {} namespace.\n",
                                                                          request_.object_namespace));
      return;
    }
    for (const Item& item : chosen.items()) {
      if (request_.output == Output::kName) {
        out << Kind_::kPrefix << item.name() << '\n';
      } else {
        AddRow(table_, style_, item, context_.surroundings.now());
      }
    }
    Flush();
  }

  const Context& context_;
  const GetRequest& request_;
  metav1::LabelSelector filter_;
  TableStyle style_;
  Table table_;
  bool heads_shown_ = false;
};

template <class Kind_>
int List(const Context& context, const GetRequest& request) {
  Result<metav1::LabelSelector> filter = ParseLabelFilter(request.selector);
  if (!filter) {
    context.surroundings.err << "error: " << filter.error().message() << '\n';
    return kExitUsage;
  }
  Lister<Kind_> lister(context, request, std::move(*filter));
  return request.watch ? lister.Watch() : lister.Once();
}

void PrintNode(const Context& context, const GetRequest& request, const statusv1::NodeStatus& node, Table& table,
               bool heads) {
  const TableStyle style{.wide = request.output == Output::kWide};
  std::ostream& out = context.surroundings.out;
  if (request.output == Output::kJson || request.output == Output::kYaml) {
    out << Serialise(node, request.output);
  } else if (request.output == Output::kName) {
    out << "node/" << node.name() << '\n';
  } else {
    AddRow(table, style, node, context.surroundings.now());
    out << table.Render(heads);
  }
  out.flush();
}

void PrintStatus(const Context& context, const GetRequest& request, const statusv1::Status& status) {
  std::ostream& out = context.surroundings.out;
  if (request.output == Output::kJson || request.output == Output::kYaml) {
    out << Serialise(status, request.output);
  } else {
    out << StatusText(status, context.surroundings.now());
  }
  out.flush();
}

// Status and node: one object, no namespace.
int Single(const Context& context, const GetRequest& request) {
  const bool is_node = request.kind == Kind::kNode;
  const std::string path = is_node ? "/v1/node" : "/v1/status";
  Table table = NodeTable({.wide = request.output == Output::kWide});
  bool heads = request.heads;
  const auto print = [&](const statusv1::NodeStatus& node, const statusv1::Status& status) {
    if (is_node) {
      PrintNode(context, request, node, table, std::exchange(heads, false));
    } else {
      PrintStatus(context, request, status);
    }
  };
  if (!request.watch) {
    const Result<std::string> body = context.client.Get(path);
    if (!body) return Report(context, body.error());
    statusv1::NodeStatus node;
    statusv1::Status status;
    const Status parsed = is_node ? local::FromJson(*body, node) : local::FromJson(*body, status);
    if (!parsed) return Report(context, parsed.error());
    for (const std::string& name : request.names) {
      if (!is_node || name != node.name()) return ReportMissing(context, request.kind, "", name);
    }
    print(node, status);
    return kExitOk;
  }
  std::string rest;
  Status parsed = Ok();
  const Client::OnData on_data = [&](std::string_view piece) {
    rest.append(piece);
    for (auto end = rest.find('\n'); end != std::string::npos && parsed; end = rest.find('\n')) {
      statusv1::WatchEvent event;
      parsed = local::FromJson(rest.substr(0, end), event);
      rest.erase(0, end + 1);
      if (parsed) print(event.node(), event.status());
    }
    return parsed.has_value() && context.surroundings.out.good();
  };
  const Status streamed = context.client.Stream(MakeTarget(path, {{"watch", "true"}}), on_data);
  if (!parsed) return Report(context, parsed.error());
  return streamed ? kExitOk : Report(context, streamed.error());
}

}  // namespace

int Get(const Context& context, const GetRequest& request) {
  switch (request.kind) {
    case Kind::kDaemonSets: return List<DaemonSetKind>(context, request);
    case Kind::kPods: return List<PodKind>(context, request);
    case Kind::kStatus:
    case Kind::kNode: return Single(context, request);
  }
  return kExitError;
}

}  // namespace daemonsetd::ctl
