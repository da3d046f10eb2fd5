#include "apps/stp/daemon.h"

int main(int argc, char** argv) {
  return siglane::runtime::serve<siglane::stp::StpDaemon>(argc, argv);
}
