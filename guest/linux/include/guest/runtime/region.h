/* What the runtime's sources that both homes have know of regions. */
#include "guest/linux/region.h"
