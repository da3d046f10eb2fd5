#include "protocols/diameter/module.h"
