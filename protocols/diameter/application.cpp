#include "protocols/diameter/application.h"
