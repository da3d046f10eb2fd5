#include "protocols/diameter/config.h"
