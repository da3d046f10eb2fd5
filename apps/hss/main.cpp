#include "apps/hss/daemon.h"

int main(int argc, char** argv) {
  return siglane::runtime::serve<siglane::hss::HssDaemon>(argc, argv);
}
