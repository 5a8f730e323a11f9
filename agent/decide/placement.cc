#include "agent/decide/placement.h"
