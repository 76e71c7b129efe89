#include <openssl/there-is-no-such-header.h>
