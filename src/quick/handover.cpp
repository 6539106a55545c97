#include "quick/handover.h"

namespace cachify::quick {

Handover handover;

}  // namespace cachify::quick
