#include "cri/runtime.h"
