// A daemon's life from its command line to its exit status.
#include "apps/runtime/daemon.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/runtime/fact_log.h"
#include "apps/runtime/signals.h"
#include "tests/component/echo_module.h"
#include "tests/support/certificates.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class EchoDaemon final : public Daemon {
 public:
  Info info() const override { return {"echod", "Echoes", {"echo"}}; }
  void read(const ObjectReader& root, NodeConfig&) override {
    greeting = root.object("echo").string("greeting", "hello");
  }
  Result<void> check() override {
    return greeting == "rude" ? failure("the greeting is rude") : Result<void>();
  }
  Result<void> build(NodeBuilder& builder) override {
    built = true;
    builder.add_module(std::make_unique<siglane::testing::EchoModule>("echod"));
    return {};
  }
  void on_started(Node& node) override {
    if (on_loop) on_loop();
    transport = node.config().endpoints.at(0).endpoint.transport;
    for (const KeptFact& kept : node.facts().after(0, 100)) {
      if (kept.fact.kind.name == "notice" && kept.fact.severity == Severity::warning) {
        warned.push_back(kept.fact.fields.at(0).value);
      }
    }
    admin_socket = node.config().admin.socket;
    if (reload) {
      // Until the node has said what came of it.
      before_reload();
      raise(SIGHUP);
      look_ = std::make_unique<transport::Timer>(node.loop().timer([this, &node] {
        matches = 0;
        for (const KeptFact& kept : node.facts().after(0, 100)) {
          for (const FactField& field : kept.fact.fields) {
            if (field.value.find(answer_to_hang_up) != field.value.npos) {
              reloaded = field.value;
              ++matches;
            }
          }
        }
        if (reloaded.empty()) return look_->start_after(1ms);
        look_.reset();
        node.stop();
      }));
      look_->start_after(1ms);
    } else if (signal_to_raise != 0) {
      raise(signal_to_raise);  // watched by now: the loop hears of it in its first turn
    } else {
      node.stop();
    }
  }
  int on_stopped(Node&) override { return 42; }
  std::optional<int> instead_of_running() override { return instead; }
  std::vector<std::string> warnings() override { return to_mend; }

  std::vector<std::string> to_mend, warned;
  std::optional<int> instead;

  std::string greeting, admin_socket;
  bool built = false;
  int signal_to_raise = 0;
  bool reload = false;
  int matches = 0;  // of answer_to_hang_up
  std::function<void()> before_reload, on_loop;
  std::string answer_to_hang_up = "kept the certificate", reloaded;
  TransportKind transport{};

 private:
  std::unique_ptr<transport::Timer> look_;
};

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    directory_ = mkdtemp(name_);
    file_ = directory_ + "/c.json";
    write("{}");
  }
  ~DaemonTest() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& echo) {
    std::ofstream(file_) << R"({"node": {"name": "n"}, "log": {"level": "off"},
      "endpoints": [{"name": "e", "module": "echo", "transport": "sctp",
                     "addresses": ["127.0.0.1"], "listen": true, "port": 0}],
      "echo": )" << echo << "}";
  }
  // An endpoint with TLS, whose files are named from the config's directory on.
  void write_tls(const std::string& transport = "tls", const std::string& more = {}) {
    std::ofstream(file_) << R"({"node": {"name": "n"}, "log": {"level": "off"},
      "endpoints": [{"name": "e", "module": "echo", "transport": ")"
                         << transport << R"(",
                     "addresses": ["127.0.0.1"], "listen": true, "port": 0,
                     "tls": {"certificate": "e.crt", "key": "e.key", "ca": "e.ca")"
                         << more << "}}]}";
  }
  void write_credentials(const siglane::testing::CertificateOptions& options) {
    const auto credentials = authority_.issue(options);
    write_file("e.crt", credentials.certificate);
    write_file("e.key", credentials.key);
    std::filesystem::permissions(directory_ + "/e.key", std::filesystem::perms(0600));
    write_file("e.ca", authority_.certificate());
  }
  void write_file(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
  }
  int run(std::vector<std::string> arguments) {
    std::vector<const char*> argv{"echod"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    ::testing::internal::CaptureStderr();
    ::testing::internal::CaptureStdout();
    const int status = run_daemon(static_cast<int>(argv.size()), argv.data(), daemon_, another_);
    err_ = ::testing::internal::GetCapturedStderr();
    out_ = ::testing::internal::GetCapturedStdout();
    return status;
  }

  char name_[32] = "/tmp/siglane-daemon-XXXXXX";
  std::string directory_, file_, out_, err_;
  siglane::testing::Authority authority_;
  EchoDaemon daemon_;
  std::function<std::unique_ptr<Daemon>()> another_;  // none: it does not read its config again
};

TEST_F(DaemonTest, RunsUntilItIsStoppedAndOverridesItsConfig) {
  EXPECT_EQ(run({"--config", file_, "--transport", "tcp", "--admin-socket", directory_ + "/s"}), 42)
      << err_;
  EXPECT_EQ(daemon_.transport, TransportKind::tcp);
  EXPECT_EQ(daemon_.admin_socket, directory_ + "/s");
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/s"));
}

TEST_F(DaemonTest, StopsGracefullyOnTermAndInt) {
  for (int signal : {SIGTERM, SIGINT}) {
    daemon_.signal_to_raise = signal;
    EXPECT_EQ(run({"--config", file_, "--transport", "tcp", "--log-level", "info"}), 42) << err_;
    EXPECT_THAT(err_, ContainsRegex("starting: echod [0-9.]+, config " + file_ +
                                    ", process [0-9]+, 1 shard"));
    EXPECT_THAT(err_, ContainsRegex("ready: echod [0-9.]+, config " + file_));
    EXPECT_THAT(err_, HasSubstr(signal == SIGTERM ? "stopping: SIGTERM" : "stopping: SIGINT"));
    EXPECT_THAT(err_, HasSubstr("stopped: every association is closed"));
  }
}

TEST_F(DaemonTest, IsNotStoppedByAHangUpAndSaysThatThereIsNothingToRead) {
  daemon_.before_reload = [] {};
  daemon_.answer_to_hang_up = "nothing to read again";
  daemon_.reload = true;
  EXPECT_EQ(run({"--config", file_, "--transport", "tcp", "--log-level", "info"}), 42) << err_;
  EXPECT_THAT(err_, HasSubstr("stopping: the program asks for it"));
}

TEST_F(DaemonTest, IgnoresAHangUpThatWasIgnoredAtItsStart) {
  std::signal(SIGHUP, SIG_IGN);
  daemon_.on_loop = [] { EXPECT_TRUE(is_ignored(SIGHUP)); };
  EXPECT_EQ(run({"--config", file_, "--transport", "tcp"}), 42) << err_;
  std::signal(SIGHUP, SIG_DFL);
}

TEST_F(DaemonTest, DoesWhatTheCommandLineAsksForInstead) {
  daemon_.instead = 7;
  EXPECT_EQ(run({"--config", file_}), 7);
  EXPECT_FALSE(daemon_.built);
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 0);
}

TEST_F(DaemonTest, ChecksItsConfigTogetherWithItsCommandLine) {
  EXPECT_EQ(run({"--config", file_, "--transport", "usrsctp", "--check-config"}), 1);
  EXPECT_EQ(err_, "endpoint \"e\" over usrsctp needs a \"udp_encapsulation\" in the config\n");
}

TEST_F(DaemonTest, ChecksItsConfigWithoutStarting) {
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 0);
  EXPECT_EQ(out_, file_ + ": good\n");
  EXPECT_FALSE(daemon_.built);
}

TEST_F(DaemonTest, PrintsItsEffectiveConfigWithoutStarting) {
  const std::vector<std::string> dump{"--dump-effective-config", "--config"};
  const auto with = [&](std::string file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = dump;
    arguments.push_back(std::move(file));
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  EXPECT_EQ(run(with(file_, {"--log-level", "debug", "--admin-socket", "/tmp/s"})), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("\"greeting\": \"hello\""));
  EXPECT_THAT(out_, HasSubstr("\"level\": \"debug\""));
  EXPECT_THAT(out_, HasSubstr("\"socket\": \"/tmp/s\""));
  EXPECT_THAT(out_, ::testing::EndsWith("\n}\n"));
  EXPECT_FALSE(daemon_.built);

  const std::string first = out_;
  write_file("again.json", first);
  EXPECT_EQ(run({"--config", directory_ + "/again.json", "--check-config"}), 0) << err_;
  EXPECT_EQ(run(with(directory_ + "/again.json")), 0) << err_;
  EXPECT_EQ(out_, first);

  write("{\"greeting\": \"rude\"}");
  EXPECT_EQ(run(with(file_)), 1);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_, file_ + ": the greeting is rude\n");
}

TEST_F(DaemonTest, SaysWhatIsWrongWithItsConfig) {
  write("{\"greeting\": 5}");
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 1);
  EXPECT_EQ(err_, file_ + ":4: /echo/greeting: 5 is not a string\n");
  write("{\"greeting\": \"rude\"}");
  EXPECT_EQ(run({"--config", file_}), 1);
  EXPECT_EQ(err_, file_ + ": the greeting is rude\n");
  EXPECT_EQ(run({"--config", directory_ + "/none"}), 1);
  EXPECT_THAT(err_, HasSubstr("cannot be read"));
  EXPECT_FALSE(daemon_.built);
}

TEST_F(DaemonTest, RefusesAConfigThatWouldStartAndCouldNotWork) {
  write_file("c.json", R"({"node": {"name": "n"}, // nobody can come, and nobody is gone to
    "endpoints": [{"name": "e", "module": "echo", "transport": "tcp"}]})");
  for (const std::string option : {"--check-config", "--log-level=off"}) {
    EXPECT_EQ(run({"--config", file_, option}), 1);
    EXPECT_EQ(err_, file_ +
                        ":2: /endpoints/0/listen: is not true, and no peer has this endpoint in "
                        "its \"connect\": nobody can use it\n");
  }
  EXPECT_FALSE(daemon_.built);
}

TEST_F(DaemonTest, RefusesAnAdminSocketWhosePathNoSocketCanHave) {
  const std::string name(110, 's');
  EXPECT_EQ(run({"--config", file_, "--admin-socket", name, "--check-config"}), 2);
  EXPECT_THAT(err_, HasSubstr("\"" + name + "\" has 110 bytes; expected a path of at most 107"));
}

TEST_F(DaemonTest, ChecksThatCertificatesAndKeysCanBeUsed) {
  write_tls();
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 1);
  EXPECT_EQ(err_, file_ + ": endpoint \"e\": certificate file " + directory_ +
                      "/e.crt: No such file or directory\n");
  write_credentials({.dns_names = {"e.example"}});
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 0) << err_;
  EXPECT_EQ(err_, "");
  write_file("e.key", authority_.issue({}).key);
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 1);
  EXPECT_THAT(err_, HasSubstr("e.key does not belong to the certificate"));
}

TEST_F(DaemonTest, WarnsOfWhatIsToBeMendedInACheckAndAtAStart) {
  write_tls();
  write_credentials({.dns_names = {"e.example"}});
  std::filesystem::permissions(directory_ + "/e.key", std::filesystem::perms(0644));
  daemon_.to_mend = {"the greeting is short"};
  const std::string of_key = "endpoint \"e\": key file " + directory_ +
                             "/e.key holds keys and has mode 0644, so that every user can read it: "
                             "chmod 600 " +
                             directory_ + "/e.key";
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 0);
  EXPECT_EQ(err_,
            file_ + ": warning: the greeting is short\n" + file_ + ": warning: " + of_key + "\n");
  EXPECT_EQ(run({"--config", file_}), 42) << err_;
  EXPECT_EQ(daemon_.warned, (std::vector<std::string>{"the greeting is short", of_key}));
}

TEST_F(DaemonTest, ChecksThatDtlsOverSctpCanBeSpoken) {
  write_credentials({.dns_names = {"e.example"}});
  write_tls("sctp");
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 0) << err_;
  write_tls("sctp", R"(, "ciphers": "ECDHE-ECDSA-AES256-SHA384")");
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 1);
  EXPECT_THAT(err_, HasSubstr("DTLS over SCTP takes AES-GCM and ChaCha20 only"));
  write_tls("sctp", R"(, "minimum_version": "1.3")");
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 1);
  EXPECT_THAT(err_, HasSubstr(file_ + ":4: /endpoints/0/tls/minimum_version: "));
}

TEST_F(DaemonTest, DoesNotLeaveInClearWhatHasCertificates) {
  write_tls("sctp");
  write_credentials({.dns_names = {"e.example"}});
  EXPECT_EQ(run({"--config", file_, "--transport", "tcp"}), 1);
  EXPECT_THAT(err_, HasSubstr("would be in clear, and has a \"tls\" in the config"));
}

TEST_F(DaemonTest, WarnsOfACertificateThatHasExpired) {
  write_tls();
  write_credentials({.dns_names = {"e.example"}, .from = -48h, .until = -24h});
  EXPECT_EQ(run({"--config", file_, "--check-config"}), 0);
  EXPECT_THAT(err_, HasSubstr(file_ + ": warning: endpoint \"e\": certificate file " + directory_ +
                              "/e.crt expired at"));
}

TEST_F(DaemonTest, ReadsItsCertificatesAgainOnHangUp) {
  write_tls();
  write_credentials({.dns_names = {"e.example"}});
  // Loaded at the start; what is there at the hang-up cannot be.
  daemon_.before_reload = [this] { write_file("e.key", "half a key"); };
  daemon_.reload = true;
  EXPECT_EQ(run({"--config", file_}), 42) << err_;
  EXPECT_THAT(daemon_.reloaded,
              HasSubstr("kept the certificates there were: endpoint \"e\": key file " + directory_ +
                        "/e.key"));
}

TEST_F(DaemonTest, ANewConfigIsRefusedWhoseCertificatesCannotBeUsed) {
  write_tls();
  write_credentials({.dns_names = {"e.example"}});
  another_ = [] { return std::make_unique<EchoDaemon>(); };
  daemon_.before_reload = [this] { write_file("e.key", "half a key"); };
  daemon_.reload = true;
  daemon_.answer_to_hang_up = "reload: ";
  EXPECT_EQ(run({"--config", file_}), 42) << err_;
  EXPECT_THAT(daemon_.reloaded, HasSubstr("reload: " + file_ + ": endpoint \"e\": key file " +
                                          directory_ + "/e.key"));
}

TEST_F(DaemonTest, ANewConfigNeedsNoCertificatesOfAnEndpointThatItHasNoMore) {
  write_tls();
  write_credentials({.dns_names = {"e.example"}});
  another_ = [] { return std::make_unique<EchoDaemon>(); };
  daemon_.before_reload = [this] {
    for (const char* name : {"e.crt", "e.key", "e.ca"}) {
      std::filesystem::remove(directory_ + "/" + name);
    }
    std::ofstream(file_) << R"({"node": {"name": "n"}, "log": {"level": "off"},
      "runtime": {"stop_grace_ms": 1234},
      "endpoints": [{"name": "f", "module": "echo", "transport": "tcp",
                     "addresses": ["127.0.0.1"], "listen": true, "port": 0}]})";
  };
  daemon_.reload = true;
  daemon_.answer_to_hang_up = "reload: ";
  EXPECT_EQ(run({"--config", file_}), 42) << err_;
  EXPECT_THAT(daemon_.reloaded, HasSubstr("/endpoints/e: removed"));
}

TEST_F(DaemonTest, ANewCertificateThatHasExpiredIsAWarningOfTheReload) {
  write_tls();
  write_credentials({.dns_names = {"e.example"}});
  another_ = [] { return std::make_unique<EchoDaemon>(); };
  daemon_.before_reload = [this] {
    write_credentials({.dns_names = {"e.example"}, .from = -48h, .until = -24h});
  };
  daemon_.reload = true;
  daemon_.answer_to_hang_up = "expired at";
  EXPECT_EQ(run({"--config", file_}), 42) << err_;
  EXPECT_THAT(daemon_.reloaded, HasSubstr("reload: warning: endpoint \"e\": certificate file " +
                                          directory_ + "/e.crt expired at"));
  EXPECT_EQ(daemon_.matches, 1);
}

TEST_F(DaemonTest, WaitsForNobodyAtTheOtherEndOfAFile) {
  write_tls();
  write_credentials({.dns_names = {"e.example"}});
  for (const std::string name : {"e.crt", "e.key", "e.ca"}) {
    const std::string path = directory_ + "/" + name;
    std::filesystem::rename(path, path + ".good");
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(run({"--config", file_, "--check-config"}), 1);
    EXPECT_THAT(err_, HasSubstr(path + ": is not a regular file, but a FIFO or a device"));
    std::filesystem::rename(path + ".good", path);
  }
  // Nor while it runs.
  daemon_.before_reload = [this] {
    const std::string path = directory_ + "/e.crt";
    std::filesystem::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  };
  daemon_.reload = true;
  EXPECT_EQ(run({"--config", file_}), 42) << err_;
  EXPECT_THAT(daemon_.reloaded, HasSubstr("e.crt: is not a regular file"));

  const std::string config = directory_ + "/fifo.json";
  ASSERT_EQ(mkfifo(config.c_str(), 0600), 0);
  EXPECT_EQ(run({"--config", config}), 1);
  EXPECT_THAT(err_, HasSubstr(config + ": cannot be read: is not a regular file"));
}

TEST_F(DaemonTest, SaysWhatIsWrongWithItsCommandLine) {
  EXPECT_EQ(run({}), 2);
  EXPECT_THAT(err_, HasSubstr("--config"));
  EXPECT_EQ(run({"--config", file_, "--transport", "udp"}), 2);
  EXPECT_THAT(err_, HasSubstr("udp is not one of sctp, kernel-sctp, usrsctp, tcp, tls"));
  EXPECT_EQ(run({"--config", file_, "--log-level", "loud"}), 2);
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_THAT(out_, ::testing::StartsWith("echod "));
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_THAT(out_, HasSubstr("--admin-socket"));
  EXPECT_THAT(out_, HasSubstr("--dump-effective-config"));
}

}  // namespace
}  // namespace siglane::runtime
