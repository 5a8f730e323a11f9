// Boost.JSON without its library: Debian ships none that is static. Tests read vectors with it, so that our own reader
// is not judged by itself.
#include <boost/json/src.hpp>
