// daemonsetd: parse, load the configuration, build the agent, run, exit code.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "agent/agent.h"
#include "agent/base/log.h"
#include "agent/base/version.h"
#include "agent/config/command_line.h"
#include "agent/service/environment.h"

namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;

void ConfigureLog(const daemonsetd::config::Config& config) {
  const auto& logging = config.message.logging();
  // systemd sets JOURNAL_STREAM when standard error goes to the journal.
  const bool journald = std::getenv("JOURNAL_STREAM") != nullptr;
  daemonsetd::log::Configure(
      daemonsetd::log::LevelFrom(logging.level()),
      logging.format() == "json" ? daemonsetd::log::Format::kJson : daemonsetd::log::Format::kText, journald);
}

int Serve(const daemonsetd::config::CommandLine& command_line, daemonsetd::config::LoadResult loaded) {
  namespace asio = boost::asio;
  ConfigureLog(*loaded.config);
  auto environment = daemonsetd::service::ReadEnvironment(::getenv, ::getpid());
  if (!environment) {
    daemonsetd::log::Error("cannot start", {{"err", environment.error().message()}});
    return kExitError;
  }
  asio::io_context context(1);
  auto reload = [sources = command_line.sources] {
    return daemonsetd::config::Load(sources, daemonsetd::config::ReadSurroundings());
  };
  daemonsetd::Agent agent(context.get_executor(), std::move(*loaded.config), std::move(reload),
                          std::move(*environment));
  if (const daemonsetd::Status opened = agent.Open(); !opened) {
    daemonsetd::log::Error("cannot start", {{"err", opened.error().message()}});
    return kExitError;
  }
  std::exception_ptr failure;
  asio::co_spawn(context, agent.Run(), [&](std::exception_ptr error) {
    failure = error;
    context.stop();
  });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const daemonsetd::VersionFacts& facts = daemonsetd::BuildVersion();
    const std::string version = fmt::format("{} ({})", facts.version, facts.git_commit);
    const auto command_line = daemonsetd::config::ParseCommandLine(argc, argv, version);
    using Action = daemonsetd::config::CommandLine::Action;
    if (command_line.action == Action::kExit) {
      std::fputs(command_line.text.c_str(), command_line.exit_code == kExitUsage ? stderr : stdout);
      return command_line.exit_code;
    }
    auto loaded = daemonsetd::config::Load(command_line.sources, daemonsetd::config::ReadSurroundings());
    if (command_line.action == Action::kCheckConfig) {
      const auto report = daemonsetd::config::CheckConfig(loaded);
      std::fputs(report.output.c_str(), stdout);
      std::fputs(report.errors.c_str(), stderr);
      return report.exit_code;
    }
    if (!loaded.config) {
      std::fputs(daemonsetd::config::ErrorsText(loaded).c_str(), stderr);
      return kExitError;
    }
    return Serve(command_line, std::move(loaded));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "daemonsetd: %s\n", error.what());
    return kExitError;
  }
}
