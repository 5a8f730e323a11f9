// follow_config_maps KUBECONFIG NAMESPACE: prints what the agent's copy of the ConfigMaps there knows, a line whenever
// that changes, until SIGTERM:
//   live a=1 b=2        names and the values of their key "key", sorted
//   stale a=1 b=2       the same while the server does not answer
#include <csignal>
#include <iostream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/async/task_scope.h"
#include "agent/kube/reflector.h"
#include "tests/cluster/api_client.h"

namespace daemonsetd::testing {
namespace {

class Follower {
 public:
  Follower(async::Executor executor, const std::string& kubeconfig, const std::string& ns)
      : executor_(executor),
        api_(executor, kubeconfig),
        maps_(
            api_.client, api_.timeline, [] { return 0.5; }, kube::ReflectorSettings{.ns = ns},
            kube::ReflectorHandlers{.on_change = [this](const kube::NamespacedName&) { Print(); },
                                    .on_complete = [this] { Print(); },
                                    .on_state = [this] { Print(); }}),
        scope_(executor) {}

  Task<void> Run() {
    boost::asio::signal_set signals(executor_, SIGTERM, SIGINT);
    scope_.Spawn("config maps", maps_.Run());
    co_await signals.async_wait(boost::asio::use_awaitable);
    scope_.Cancel();
    co_await scope_.Join();
    co_await api_.transport.Close();
  }

 private:
  void Print() {
    std::string line = maps_.live() ? "live" : "stale";
    for (const auto& object : maps_.All()) {
      const auto value = object->data().find("key");
      if (value != object->data().end()) line += " " + object->metadata().name() + "=" + value->second;
    }
    if (!maps_.synced() || line == printed_) return;
    printed_ = line;
    std::cout << line << std::endl;
  }

  async::Executor executor_;
  ApiClient api_;
  kube::Reflector<corev1::ConfigMap> maps_;
  async::TaskScope scope_;
  std::string printed_;
};

}  // namespace
}  // namespace daemonsetd::testing

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: follow_config_maps KUBECONFIG NAMESPACE\n";
    return 2;
  }
  boost::asio::io_context context(1);
  daemonsetd::testing::Follower follower(context.get_executor(), arguments[1], arguments[2]);
  boost::asio::co_spawn(context, follower.Run(), boost::asio::detached);
  context.run();
  return 0;
}
