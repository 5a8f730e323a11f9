#include "agent/base/digest.h"

#include <fmt/format.h>

namespace daemonsetd {
namespace {

// apimachinery/pkg/util/rand: names made of these never spell a word.
constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
constexpr std::uint64_t kOffset = 14695981039346656037ULL;
constexpr std::uint64_t kPrime = 1099511628211ULL;

std::uint64_t Fnv1a64From(std::uint64_t hash, std::string_view data) {
  for (const char c : data) {
    hash ^= static_cast<unsigned char>(c);
    hash *= kPrime;
  }
  return hash;
}

// FNV's high bits mix poorly on short input; this is the finaliser of MurmurHash3.
std::uint64_t Mix(std::uint64_t hash) {
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53ULL;
  return hash ^ (hash >> 33);
}

}  // namespace

std::uint64_t Fnv1a64(std::string_view data) { return Fnv1a64From(kOffset, data); }

std::string SafeSuffix(std::string_view data, int length) {
  std::string suffix;
  std::uint64_t hash = Mix(Fnv1a64(data));
  for (int i = 0; i < length; ++i) {
    suffix.push_back(kAlphabet[hash % kAlphabet.size()]);
    hash /= kAlphabet.size();
    if (hash == 0) hash = Mix(Fnv1a64From(kOffset + static_cast<std::uint64_t>(i) + 1, data));
  }
  return suffix;
}

std::string DerivedUid(std::string_view data) {
  const std::uint64_t high = Mix(Fnv1a64(data));
  const std::uint64_t low = Mix(Fnv1a64From(kOffset ^ 0x5bd1e9955bd1e995ULL, data));
  return fmt::format("{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff, high & 0xfff,
                     0x8000 | ((low >> 48) & 0x3fff), low & 0xffffffffffffULL);
}

std::string ShortId(std::string_view id) { return std::string(id.substr(0, 13)); }

}  // namespace daemonsetd
