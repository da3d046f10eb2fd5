#include "transport/port_holder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace siglane::transport {
namespace {

// A line of one of /proc/net's tables.
struct Row {
  std::vector<SocketAddress> addresses;
  std::uint64_t inode = 0;  // 0: a socket of the kernel's own
};
using Fields = std::vector<std::string>;

template <class T>
T number(std::string_view text, int base = 10) {
  T value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// `0100007F:0F1C`: words of the address as the machine's own integers, and the port.
SocketAddress hexadecimal_address(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == text.npos || (colon != 8 && colon != 32)) return {};
  std::array<std::uint32_t, 4> words{};
  for (std::size_t i = 0; i < colon / 8; ++i) {
    words[i] = number<std::uint32_t>(text.substr(i * 8, 8), 16);
  }
  const auto port = number<std::uint16_t>(text.substr(colon + 1), 16);
  sockaddr_storage storage{};
  if (colon == 8) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, words.data(), sizeof v4.sin_addr);
    std::memcpy(&storage, &v4, sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, words.data(), sizeof v6.sin6_addr);
    std::memcpy(&storage, &v6, sizeof v6);
  }
  return SocketAddress::from(storage).with_port(port);
}

// net/ipv4/tcp_ipv4.c, udp.c: sl local_address rem_address st queues timer retrnsmt uid timeout
// inode. A UDP socket receives in every state.
std::optional<Row> inet_row(const Fields& fields, bool only_listening) {
  constexpr std::string_view kListening = "0A";
  if (fields.size() < 10 || (only_listening && fields[3] != kListening)) return std::nullopt;
  return Row{{hexadecimal_address(fields[1])}, number<std::uint64_t>(fields[9])};
}

// net/sctp/proc.c: ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS; those that listen.
std::optional<Row> sctp_row(const Fields& fields) {
  if (fields.size() < 9) return std::nullopt;
  const auto port = number<std::uint16_t>(fields[5]);
  Row row{{}, number<std::uint64_t>(fields[7])};
  for (std::size_t i = 8; i < fields.size(); ++i) {
    if (auto address = SocketAddress::parse(fields[i], port)) row.addresses.push_back(*address);
  }
  return row;
}

bool is_wildcard(const SocketAddress& address) {
  return address == SocketAddress::any(address.family(), address.port());
}

bool overlap(const SocketAddress& a, const SocketAddress& b) {
  return a.valid() && a.port() == b.port() && (a == b || is_wildcard(a) || is_wildcard(b));
}

template <class Parse>
void read_table(const char* file, const SocketAddress& local, Parse parse,
                std::set<std::uint64_t>& inodes) {
  std::ifstream table(std::string("/proc/thread-self/net/") + file);
  std::string line;
  std::getline(table, line);  // the headings
  while (std::getline(table, line)) {
    std::istringstream words(line);
    Fields fields;
    for (std::string word; words >> word;) fields.push_back(std::move(word));
    const std::optional<Row> row = parse(fields);
    if (!row) continue;
    const auto meets = [&](const SocketAddress& address) { return overlap(address, local); };
    if (std::any_of(row->addresses.begin(), row->addresses.end(), meets)) inodes.insert(row->inode);
  }
}

std::set<std::uint64_t> sockets_at(PortProtocol protocol, const SocketAddress& local) {
  std::set<std::uint64_t> inodes;
  const auto inet = [&](const Fields& fields) {
    return inet_row(fields, protocol == PortProtocol::tcp);
  };
  switch (protocol) {
    case PortProtocol::tcp:
      read_table("tcp", local, inet, inodes);
      read_table("tcp6", local, inet, inodes);
      break;
    case PortProtocol::udp:
      read_table("udp", local, inet, inodes);
      read_table("udp6", local, inet, inodes);
      break;
    case PortProtocol::sctp:
      read_table("sctp/eps", local, sctp_row, inodes);
      break;
  }
  return inodes;
}

bool has_one_of(const std::filesystem::path& process, const std::set<std::uint64_t>& inodes) {
  std::error_code error;
  for (std::filesystem::directory_iterator fd(process / "fd", error), end; !error && fd != end;
       fd.increment(error)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(fd->path(), gone).string();
    constexpr std::string_view kSocket = "socket:[";
    if (!target.starts_with(kSocket)) continue;
    if (inodes.contains(number<std::uint64_t>(std::string_view(target).substr(kSocket.size())))) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string program_name(pid_t pid) {
  std::string name;
  std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
  std::getline(comm, name);
  for (char& c : name) {
    if (c < ' ' || c > '~') c = '?';
  }
  return name;
}

std::optional<PortHolder> port_holder(PortProtocol protocol, const SocketAddress& local) {
  const std::set<std::uint64_t> inodes = sockets_at(protocol, local);
  if (inodes.empty()) return std::nullopt;
  if (inodes.contains(0)) return PortHolder{0, "the kernel"};
  std::error_code error;
  for (std::filesystem::directory_iterator process("/proc", error), end; !error && process != end;
       process.increment(error)) {
    const auto pid = number<pid_t>(process->path().filename().string());
    if (pid == 0 || !has_one_of(process->path(), inodes)) continue;
    return PortHolder{pid, program_name(pid)};
  }
  return std::nullopt;
}

std::string in_use_by(PortProtocol protocol, const SocketAddress& local) {
  const auto holder = port_holder(protocol, local);
  if (!holder) return " (does another node run here? As root, ss -lnp --sctp -tu names it)";
  if (holder->pid == 0) {
    return protocol == PortProtocol::udp
               ? " (the kernel's own SCTP encapsulation may have it: sysctl net.sctp.udp_port)"
               : " (the kernel has it)";
  }
  if (holder->pid == getpid()) return " (another endpoint of this node has it)";
  return " (" + holder->program + ", process " + std::to_string(holder->pid) + ", has it)";
}

}  // namespace siglane::transport
