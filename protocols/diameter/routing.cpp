#include "protocols/diameter/routing.h"
