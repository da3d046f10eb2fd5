// Runs a fuzz target without libFuzzer: every seed of the corpus as it is, then COUNT inputs made
// from seeds by a few structured mutations, all from one random seed, so that a failure repeats.
//
//   <decoder>_fuzz COUNT CORPUS_DIRECTORY [RANDOM_SEED]
//
// Before each input its bytes stand in last_input, so that a debugger or a core dump shows them; on
// a crash the random seed and the input's number are on stderr.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <unistd.h>

#include "core/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

Input last_input;
char where[128] = "before the first input\n";

extern "C" void on_crash(int signal) {
  (void)!write(STDERR_FILENO, where, sizeof where);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::vector<Input> read_corpus(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

// Values that length and count fields get wrong.
std::uint8_t interesting(siglane::Random& random) {
  static constexpr std::uint8_t kValues[] = {0, 1, 3, 4, 7, 8, 0x7f, 0x80, 0xfe, 0xff};
  return kValues[random.below(std::size(kValues))];
}

void mutate(Input& input, const std::vector<Input>& corpus, siglane::Random& random) {
  const auto position = [&] { return static_cast<std::ptrdiff_t>(random.below(input.size() + 1)); };
  switch (random.below(8)) {
    case 0:
      if (!input.empty()) input[random.below(input.size())] ^= 1u << random.below(8);
      break;
    case 1:
      if (!input.empty()) input[random.below(input.size())] = interesting(random);
      break;
    case 2:
      if (!input.empty()) input[random.below(input.size())] = random.next() & 0xff;
      break;
    case 3:
      input.resize(random.below(input.size() + 1));
      break;
    case 4: {  // a piece of itself again, somewhere
      const auto from = position(), to = position();
      const Input piece(input.begin() + std::min(from, to), input.begin() + std::max(from, to));
      if (input.size() + piece.size() <= 65536) {
        input.insert(input.begin() + position(), piece.begin(), piece.end());
      }
      break;
    }
    case 5: {  // the head of one seed, the tail of another
      const Input& other = corpus[random.below(corpus.size())];
      input.resize(random.below(input.size() + 1));
      input.insert(input.end(),
                   other.begin() + static_cast<std::ptrdiff_t>(random.below(other.size() + 1)),
                   other.end());
      break;
    }
    case 6: {  // one hole
      const auto from = position(), to = position();
      input.erase(input.begin() + std::min(from, to), input.begin() + std::max(from, to));
      break;
    }
    case 7: {  // four aligned bytes: where most fields are
      if (input.size() < 4) break;
      const std::size_t at = random.below(input.size() / 4) * 4;
      for (std::size_t i = 0; i < 4; ++i)
        input[at + i] = random.below(2) == 0 ? interesting(random) : input[at + i];
      break;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s COUNT CORPUS_DIRECTORY [RANDOM_SEED]\n", argv[0]);
    return 2;
  }
  const std::uint64_t count = std::strtoull(argv[1], nullptr, 10);
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  const std::vector<Input> corpus = read_corpus(argv[2]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no seeds\n", argv[2]);
    return 2;
  }
  for (int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_crash);

  const auto run = [&](std::uint64_t number) {
    std::snprintf(where, sizeof where, "crashed: random seed %llu, input %llu\n",
                  static_cast<unsigned long long>(seed), static_cast<unsigned long long>(number));
    LLVMFuzzerTestOneInput(last_input.data(), last_input.size());
  };
  for (std::size_t i = 0; i < corpus.size(); ++i) {
    last_input = corpus[i];
    run(i);
  }
  siglane::Random random(seed);
  for (std::uint64_t i = 0; i < count; ++i) {
    last_input = corpus[random.below(corpus.size())];
    const std::uint64_t rounds = 1 + random.below(6);
    for (std::uint64_t round = 0; round < rounds; ++round) mutate(last_input, corpus, random);
    run(corpus.size() + i);
  }
  std::printf("%zu seeds and %llu inputs\n", corpus.size(), static_cast<unsigned long long>(count));
  return 0;
}
