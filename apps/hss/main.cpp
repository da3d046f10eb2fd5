#include "apps/hss/daemon.h"

int main(int argc, char** argv) {
  siglane::hss::HssDaemon daemon;
  return siglane::runtime::run_daemon(argc, argv, daemon);
}
