#include "map/map.h"

#include "map/loop.h"

namespace cachify::map {

run::Ending map(store::Store& store, const Request& request) {
  return Loop(store, request).run();
}

}  // namespace cachify::map
