#include "apps/hss/daemon.h"

int main(int argc, char** argv) {
  using namespace siglane;
  if (const auto status = hss::run_import(argc, argv)) return *status;
  hss::HssDaemon daemon;
  return runtime::run_daemon(argc, argv, daemon);
}
