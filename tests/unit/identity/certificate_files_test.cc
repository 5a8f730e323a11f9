#include "agent/identity/certificate_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "agent/identity/kubeconfig_file.h"
#include "agent/kube/transport/files.h"
#include "tests/support/temporary_directory.h"

namespace daemonsetd::identity {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CertificateFilesTest : public ::testing::Test {
 protected:
  static mode_t ModeOf(const std::string& path) {
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
  std::string Read(const std::string& path) { return kube::ReadSmallFile(path, 1 << 20).value(); }
  std::set<std::string> Names() {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_ + "/state/pki")) names.insert(entry.path().filename());
    return names;
  }
  std::string Store(const std::string& text, int second) {
    return StoreCertificate(directory_ + "/state", text, "key\n", WallTime{Seconds(1'700'000'000 + second)}).value();
  }

  const testing::TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path().string();
};

TEST_F(CertificateFilesTest, TheLinkNamesTheNewestOneAndTheOneBeforeStays) {
  const std::string current = CurrentCertificatePath(directory_ + "/state");
  EXPECT_EQ(current, directory_ + "/state/pki/client-current.pem");
  const std::string first = Store("one\n", 0);
  EXPECT_EQ(first, directory_ + "/state/pki/client-2023-11-14-22-13-20.pem");
  EXPECT_EQ(Read(current), "one\nkey\n");
  Store("two\n", 1);
  EXPECT_EQ(Read(current), "two\nkey\n");
  EXPECT_EQ(Read(first), "one\nkey\n");
  const std::string third = Store("three\n", 2);
  EXPECT_FALSE(fs::exists(first));
  EXPECT_EQ(Names().size(), 3U);
  EXPECT_EQ(fs::read_symlink(current), fs::path(third).filename());
}

TEST_F(CertificateFilesTest, TwoInOneSecondAreOneFile) {
  Store("one\n", 0);
  Store("two\n", 0);
  EXPECT_EQ(Read(CurrentCertificatePath(directory_ + "/state")), "two\nkey\n");
}

// SE-05: whatever the mask of the process is, and whatever somebody made of the modes.
TEST_F(CertificateFilesTest, NobodyElseReadsThem) {
  fs::create_directories(directory_ + "/state/pki");
  ::chmod((directory_ + "/state/pki").c_str(), 0777);
  const mode_t before = ::umask(0);
  const std::string path = Store("one\n", 0);
  ::umask(before);
  EXPECT_EQ(ModeOf(directory_ + "/state/pki"), 0700U);
  EXPECT_EQ(ModeOf(path), 0600U);
}

TEST_F(CertificateFilesTest, WhatAnInterruptedWriteLeftIsNoObstacle) {
  Store("one\n", 0);
  const std::string current = CurrentCertificatePath(directory_ + "/state");
  std::ofstream(current + ".new") << "half";
  const std::string next = directory_ + "/state/pki/client-2023-11-14-22-13-21.pem";
  std::ofstream(next + ".new") << "half";
  Store("two\n", 1);
  EXPECT_EQ(Read(current), "two\nkey\n");
}

TEST_F(CertificateFilesTest, WrittenKubeconfigsAreRead) {
  const ClusterAccess cluster{.server = "https://10.0.0.1:6443", .tls_server_name = "api", .authority = "-----BEGIN x"};
  const std::string path = directory_ + "/kubeconfig";
  ASSERT_TRUE(WritePrivateFile(path, KubeconfigWithFile(cluster, "/a \"b\"/current.pem")));
  auto read = ReadKubeconfig(path);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->client_certificate.file, "/a \"b\"/current.pem");
  EXPECT_EQ(read->client_key.file, "/a \"b\"/current.pem");
  EXPECT_EQ(ReadClusterAccess(*read)->server, cluster.server);
  EXPECT_EQ(ReadClusterAccess(*read)->tls_server_name, "api");
  EXPECT_EQ(ReadClusterAccess(*read)->authority, cluster.authority);

  ASSERT_TRUE(WritePrivateFile(path, KubeconfigWithToken(cluster, "abcdef.0123456789abcdef")));
  read = ReadKubeconfig(path);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->token, "abcdef.0123456789abcdef");
}

TEST_F(CertificateFilesTest, AKubeconfigCanBeKeptInMemory) {
  const auto file = MemoryFile::Make(KubeconfigWithToken({.server = "https://a"}, "t"));
  ASSERT_TRUE(file);
  const auto read = ReadKubeconfig(file->path());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->server.host, "a");
  EXPECT_THAT(ReadKubeconfig("/nonexistent").error().message(), HasSubstr("no such file"));
}

}  // namespace
}  // namespace daemonsetd::identity
