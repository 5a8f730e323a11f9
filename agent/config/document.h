// Configuration files as written: strict decoding, and merging one over the other by JSON merge patch (RFC 7386).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/fields.h"
#include "agent/model/codec.h"

namespace daemonsetd::config {

// Where a value came from: a file and its line, or a flag, or an environment variable (then line is 0).
struct Origin {
  std::string source;
  int line = 0;
};

// Key path, as in error texts ("nodeTaints[0].effect", "nodeLabels[example.com/a]"), to its last writer.
class Origins {
 public:
  void Set(const std::string& path, Origin origin) { by_path_[path] = std::move(origin); }
  // Forgets the path and everything below it.
  void Erase(const std::string& path);
  bool Has(const std::string& path) const { return by_path_.contains(path); }
  // Of the path, or of the nearest enclosing key that somebody wrote.
  Origin Find(std::string path) const;

 private:
  std::map<std::string, Origin> by_path_;
};

struct Layer {
  std::string file;
  std::string text;
};

struct Merged {
  Message message;  // only what the layers say: no default is filled in
  Origins origins;
  std::vector<model::DecodeError> errors;  // all files', in the order of the layers
};

// Later layers win: objects are merged, lists replaced, null removes. Each layer must be one document with our
// apiVersion and kind. A layer with unknown keys still contributes the others, so that all errors show at once.
Merged Merge(const std::vector<Layer>& layers);

}  // namespace daemonsetd::config
