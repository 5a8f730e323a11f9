// The one translation unit that compiles Asio's TLS part (BOOST_ASIO_SEPARATE_COMPILATION); a library of its own, since
// only who speaks TLS needs OpenSSL.
#include <boost/asio/ssl/impl/src.hpp>
