#include "protocols/diameter/dictionary.h"
