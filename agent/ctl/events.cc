#include "agent/ctl/events.h"

#include <utility>

#include <fmt/format.h>

#include "agent/ctl/commands.h"
#include "agent/ctl/tables.h"
#include "agent/ctl/yaml.h"

namespace daemonsetd::ctl {
namespace {

// "5m", or "5m (x4 over 1h)" when it came again.
std::string LastSeen(const statusv1::EventSummary& event, WallTime now) {
  const std::string last = Age(event.last_timestamp(), now);
  if (event.count() <= 1) return last;
  return fmt::format("{} (x{} over {})", last, event.count(), Age(event.first_timestamp(), now));
}

// Messages hold what programs wrote: a line stays a line, and nothing reaches the terminal's controls.
std::string OneLine(std::string text) {
  text.erase(text.find_last_not_of(" \n\r\t") + 1);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

class Events {
 public:
  Events(const Context& context, const EventsCommand& command)
      : context_(context), command_(command), table_(EventTable(command.all_namespaces)) {}

  int Once() {
    const Result<std::string> body = context_.client.Get(Target(false));
    if (!body) return Report(context_, body.error());
    statusv1::EventList list;
    if (const Status parsed = local::FromJson(*body, list); !parsed) return Report(context_, parsed.error());
    if (command_.output == Output::kJson || command_.output == Output::kYaml) {
      context_.surroundings.out << Serialise(list, command_.output);
      return kExitOk;
    }
    if (list.items().empty()) {
      context_.surroundings.err << (command_.all_namespaces
                                        ? std::string("No events found.\n")
                                        : fmt::format("No events found in {} namespace.\n", command_.object_namespace));
      return kExitOk;
    }
    for (const statusv1::EventSummary& event : list.items()) Show(event);
    Flush();
    return kExitOk;
  }

  int Watch() {
    std::string rest;
    Status parsed = Ok();
    const Client::OnData on_data = [&](std::string_view piece) {
      rest.append(piece);
      for (auto end = rest.find('\n'); end != std::string::npos && parsed; end = rest.find('\n')) {
        statusv1::WatchEvent line;
        parsed = local::FromJson(rest.substr(0, end), line);
        rest.erase(0, end + 1);
        if (parsed) Show(line.event());
      }
      Flush();
      return parsed.has_value() && context_.surroundings.out.good();
    };
    const Status streamed = context_.client.Stream(Target(true), on_data);
    if (!parsed) return Report(context_, parsed.error());
    return streamed ? kExitOk : Report(context_, streamed.error());
  }

 private:
  std::string Target(bool watch) const {
    return MakeTarget("/v1/events", {{"namespace", command_.all_namespaces ? "" : command_.object_namespace},
                                     {"kind", command_.about_kind},
                                     {"name", command_.about_name},
                                     {"watch", watch ? "true" : ""}});
  }

  void Show(const statusv1::EventSummary& event) {
    std::ostream& out = context_.surroundings.out;
    switch (command_.output) {
      case Output::kJson: out << local::ToJson(event) << '\n'; break;
      case Output::kYaml: out << "---\n" << Serialise(event, Output::kYaml); break;
      case Output::kName: out << "event/" << event.name() << '\n'; break;
      case Output::kTable:
      case Output::kWide: AddRow(table_, command_.all_namespaces, event, context_.surroundings.now()); break;
    }
  }

  void Flush() {
    if (!table_.empty()) context_.surroundings.out << table_.Render(std::exchange(heads_, false));
    context_.surroundings.out.flush();
  }

  const Context& context_;
  const EventsCommand& command_;
  Table table_;
  bool heads_ = true;
};

}  // namespace

Table EventTable(bool with_namespace) {
  std::vector<std::string> heads = {"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"};
  if (with_namespace) heads.insert(heads.begin(), "NAMESPACE");
  return Table(std::move(heads));
}

void AddRow(Table& table, bool with_namespace, const statusv1::EventSummary& event, WallTime now) {
  std::vector<std::string> cells = {LastSeen(event, now), event.type(), event.reason(),
                                    event.object_kind() + "/" + event.object_name(), OneLine(event.message())};
  if (with_namespace) cells.insert(cells.begin(), event.namespace_());
  table.Add(std::move(cells));
}

std::string DescribeEvents(const statusv1::EventList& events, WallTime now) {
  if (events.items().empty()) return fmt::format("{:<18} <none>\n", "Events:");
  Table table({"  Type", "Reason", "Age", "From", "Message"});
  table.Add({"  ----", "------", "----", "----", "-------"});
  for (const statusv1::EventSummary& event : events.items()) {
    table.Add({"  " + event.type(), event.reason(), LastSeen(event, now), event.source(), OneLine(event.message())});
  }
  return "Events:\n" + table.Render(true);
}

int ShowEvents(const Context& context, const EventsCommand& command) {
  Events events(context, command);
  return command.watch ? events.Watch() : events.Once();
}

}  // namespace daemonsetd::ctl
