// The one translation unit that compiles Beast (BOOST_BEAST_SEPARATE_COMPILATION); a library of its own, since only who
// speaks HTTP needs it.
#include <boost/beast/src.hpp>
