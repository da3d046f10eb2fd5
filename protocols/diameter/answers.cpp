#include "protocols/diameter/answers.h"
