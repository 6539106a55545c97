// The program's first instructions: see README.md in this folder. The kernel starts us with argc,
// argv and the environment on the stack, which goes on to the C library as it came.
#include "quick/first_command.h"
#include "quick/first_end.h"
#include "quick/first_grant.h"
#include "quick/first_slot.h"
#include "quick/first_wait.h"
#include "quick/handover.h"
#include "quick/plain_call.h"

namespace {

cachify::quick::PlainCall call;

}  // namespace

extern "C" [[gnu::used]] void cachify_quick_start(long* stack) {
  const int argc = static_cast<int>(stack[0]);
  char** argv = reinterpret_cast<char**>(stack + 1);
  char** environment = argv + argc + 1;
  if (!cachify::quick::recognise(argc, argv, environment, call)) return;
  const bool redis = cachify::quick::is_for_redis(call);
  if (!(redis ? cachify::quick::take_first_grant(call) : cachify::quick::take_first_slot(call))) {
    return;
  }
  cachify::quick::start_first_command(call);
  cachify::quick::leave_place();
  if (!cachify::quick::handover.started) return;
  if (redis) {
    cachify::quick::see_grant_to_its_end(call);
  } else {
    cachify::quick::see_to_the_end(call);
  }
}

asm(R"(
  .text
  .globl cachify_entry
  .type cachify_entry, @function
cachify_entry:
  xor %ebp, %ebp
  mov %rsp, %rbx
  mov %rdx, %r12
  mov %rsp, %rdi
  and $-16, %rsp
  call cachify_quick_start
  mov %rbx, %rsp
  mov %r12, %rdx
  jmp _start
  .size cachify_entry, . - cachify_entry
)");
