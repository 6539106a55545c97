#pragma once

#include <cstdint>

#include "store/file/layout.h"
#include "store/store.h"

namespace cachify::store::file {

// Who it is that has something in a file, for the eyes of others; texts are cut to what fits.
// `pid_namespace` is that of this process.
Info info_of(const Who& who, uint64_t pid_namespace, int64_t since_us);
Who who_of(const Info& info);

// What was read may be anything: from now on its texts end.
void close_texts(Info& info);

}  // namespace cachify::store::file
