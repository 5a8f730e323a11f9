#include "agent/pods/probes/http_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/pods/probes/probe_result.h"
#include "agent/pods/probes/prober.h"

namespace daemonsetd::pods {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void AddHeader(corev1::HTTPGetAction& action, const std::string& name, const std::string& value) {
  auto* header = action.add_httpheaders();
  header->set_name(name);
  header->set_value(value);
}
std::string Render(const corev1::HTTPGetAction& action) {
  const auto headers = HeadersOf(action, "kube-probe/1.37");
  return headers ? RenderRequest(UrlOf(action, "10.0.0.1", 8080), *headers) : headers.error().message();
}
HttpUrl Url(const std::string& target) {
  return HttpUrl{.host = "10.0.0.1", .port = 8080, .authority = "10.0.0.1:8080", .target = target};
}

TEST(HttpRequest, HasTheDefaultHeaders) {
  corev1::HTTPGetAction action;
  action.set_path("/healthz?full=1");
  EXPECT_EQ(Render(action),
            "GET /healthz?full=1 HTTP/1.1\r\nHost: 10.0.0.1:8080\r\nUser-Agent: kube-probe/1.37\r\nAccept: */*\r\n"
            "Connection: close\r\n\r\n");
}

TEST(HttpRequest, TheUsersHeadersReplaceTheDefaultOnes) {
  corev1::HTTPGetAction action;
  AddHeader(action, "host", "example.org");
  AddHeader(action, "user-agent", "mine");
  AddHeader(action, "ACCEPT", "");
  AddHeader(action, "X-Two", "a");
  AddHeader(action, "X-Two", " b ");
  AddHeader(action, "Content-Length", "5");
  EXPECT_EQ(
      Render(action),
      "GET / HTTP/1.1\r\nHost: example.org\r\nuser-agent: mine\r\nX-Two: a\r\nX-Two: b\r\nConnection: close\r\n\r\n");
}

TEST(HttpRequest, AHeaderThatWouldAddLinesIsRefusedWithoutItsValue) {  // PB-12
  corev1::HTTPGetAction action;
  AddHeader(action, "Authorization", "s3cret\r\nX: y");
  EXPECT_THAT(Render(action), AllOf(HasSubstr("Authorization"), Not(HasSubstr("s3cret"))));
  corev1::HTTPGetAction name;
  AddHeader(name, "A: s3cret\r\nB", "x");
  EXPECT_THAT(Render(name), Not(HasSubstr("s3cret")));
}

TEST(HttpRequest, TargetsAreEncodedAsGoDoes) {
  EXPECT_EQ(RequestTarget(""), "/");
  EXPECT_EQ(RequestTarget("healthz"), "/healthz");
  EXPECT_EQ(RequestTarget("/a b?c d"), "/a%20b?c%20d");
  EXPECT_EQ(RequestTarget("/a%20b?x=%zz"), "/a%20b?x=%zz");
  EXPECT_EQ(RequestTarget("/a%zz?b"), "/a%25zz%3Fb");
  EXPECT_EQ(RequestTarget("/a#fragment"), "/a");
  EXPECT_EQ(RequestTarget("http://elsewhere:1/x?y"), "/x?y");
  EXPECT_EQ(RequestTarget("//elsewhere/x"), "/x");
  EXPECT_EQ(RequestTarget("/a\r\nHost: x"), "/a%0D%0AHost:%20x");
  EXPECT_EQ(RequestTarget("/\xC3\xA4"), "/%C3%A4");
}

TEST(HttpUrl, FollowsLocations) {
  const HttpUrl from = Url("/a/b?q=1");
  EXPECT_EQ(Follow(from, "/x?y")->target, "/x?y");
  EXPECT_EQ(Follow(from, "c")->target, "/a/c");
  EXPECT_EQ(Follow(from, "../c/./d")->target, "/c/d");
  EXPECT_EQ(Follow(from, "?z")->target, "/a/b?z");
  EXPECT_EQ(Follow(from, "/x")->authority, "10.0.0.1:8080");
  const auto tls = Follow(from, "HTTPS://user:pw@10.0.0.1/x#y");
  ASSERT_TRUE(tls);
  EXPECT_TRUE(tls->tls);
  EXPECT_EQ(tls->port, 443);
  EXPECT_EQ(tls->authority, "10.0.0.1");
  EXPECT_TRUE(SameHost(from, *tls));
  EXPECT_FALSE(SameHost(from, *Follow(from, "//example.org:81")));
  EXPECT_EQ(Follow(from, "http://[::1]:81/x")->host, "::1");
  for (const char* bad : {"ftp://10.0.0.1/", "http:", "http://", "http://a:0/", "http://a:99999/", "http://a b/",
                          "http://[::1", "http://a:8x/"}) {
    EXPECT_FALSE(Follow(from, bad)) << bad;
  }
}

TEST(HttpUrl, IsShownWithoutItsQuery) { EXPECT_EQ(Display(Url("/x?token=s3cret")), "http://10.0.0.1:8080/x"); }

TEST(HttpUrl, OnlyNamesAreSentToTlsServers) {
  EXPECT_EQ(ServerName(HttpUrl{.host = "example.org."}), "example.org");
  EXPECT_EQ(ServerName(HttpUrl{.host = "10.0.0.1"}), "");
  EXPECT_EQ(ServerName(HttpUrl{.host = "fe80::1"}), "");
}

TEST(ProbePort, IsANumberOrANameOrANumberInWords) {
  corev1::Container container;
  container.set_name("c");
  auto* port = container.add_ports();
  port->set_name("web");
  port->set_containerport(8080);
  intstrv1::IntOrString value;
  value.set_intval(81);
  EXPECT_EQ(*ResolvePort(value, container), 81);
  value.set_intval(65536);
  EXPECT_FALSE(ResolvePort(value, container));
  value.set_type(1);
  value.set_strval("web");
  EXPECT_EQ(*ResolvePort(value, container), 8080);
  value.set_strval("82");
  EXPECT_EQ(*ResolvePort(value, container), 82);
  value.set_strval("other");
  EXPECT_THAT(ResolvePort(value, container).error().message(), HasSubstr("no port named \"other\""));
  value.set_strval("");
  EXPECT_FALSE(ResolvePort(value, container));
}

TEST(ProbeOutput, IsOneShortPrintableLine) {
  EXPECT_EQ(OneLine("  a\n\tb\x1b[31m\xff c\xC3\xA4\xC2\x85\n"), "a b [31m c\xC3\xA4");
  const std::string cut = OneLine(std::string(5000, 'x') + "y");
  EXPECT_LE(cut.size(), kMaximumOutput);
  EXPECT_THAT(cut, ::testing::EndsWith("…"));
  std::string wide;
  for (int i = 0; i < 1000; ++i) wide += "ä";
  EXPECT_LE(OneLine("x" + wide).size(), kMaximumOutput);
  EXPECT_EQ(OneLine("\xED\xA0\x80\xF4\x90\x80\x80\xC0\x80"), "");
}

}  // namespace
}  // namespace daemonsetd::pods
