#include "agent/model/codec.h"
