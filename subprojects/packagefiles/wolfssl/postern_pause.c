#include "postern_pause.h"

_Thread_local struct postern_pause postern_pause;
