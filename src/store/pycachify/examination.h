#pragma once

#include "store/redis/examination.h"

namespace cachify::store::pycachify {

// What `doctor` has to say: the server as for any store on Redis, and whether all that is done with
// locks and pools may be done.
class Examination : public redis::Examination {
 public:
  using redis::Examination::Examination;

 protected:
  void try_rights(redis::Client& client) override;
};

}  // namespace cachify::store::pycachify
