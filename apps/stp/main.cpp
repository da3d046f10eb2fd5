#include "apps/stp/daemon.h"

int main(int argc, char** argv) {
  siglane::stp::StpDaemon daemon;
  return siglane::runtime::run_daemon(argc, argv, daemon);
}
