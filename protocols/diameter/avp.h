#pragma once
#include <bit>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

#include "core/bytes.h"

namespace siglane::diameter {

// The numbers of RFC 6733, each a type of its own. What they are called stands in the generated
// protocols/diameter/constants.h: application::s6a, result::success, ...
enum class ApplicationId : std::uint32_t {};
enum class CommandCode : std::uint32_t {};
enum class ResultCode : std::uint32_t {};
using VendorId = std::uint32_t;

// RFC 6733 §4.2 and §4.3.
enum class AvpType : std::uint8_t {
  octet_string,
  integer32,
  integer64,
  unsigned32,
  unsigned64,
  float32,
  float64,
  grouped,
  address,
  time,
  utf8_string,
  diameter_identity,
  diameter_uri,
  enumerated,
  ip_filter_rule,
};
std::string_view name_of(AvpType type);

// What a dictionary says of one AVP. `mandatory`: we set the M bit when we send it.
struct AvpDef {
  std::uint32_t code;
  VendorId vendor;
  AvpType type;
  bool mandatory;
  std::string_view name;
};

// RFC 6733 §4.3.1 Address: an IANA address family and its bytes. Views the message.
struct Address {
  static constexpr std::uint16_t kIpv4 = 1, kIpv6 = 2;
  std::uint16_t family = 0;
  Bytes bytes;
};
// RFC 6733 §4.3.1 Time: seconds since 1900-01-01 00:00 UTC (the first 32 bits of NTP).
struct Time {
  std::uint32_t seconds = 0;
  friend bool operator==(Time, Time) = default;
};

class AvpList;

namespace detail {
template <AvpType Type, class Enum>
struct ValueOf {
  using type = std::string_view;  // the text types
};
template <class Enum>
struct ValueOf<AvpType::octet_string, Enum> {
  using type = Bytes;
};
template <class Enum>
struct ValueOf<AvpType::integer32, Enum> {
  using type = std::int32_t;
};
template <class Enum>
struct ValueOf<AvpType::integer64, Enum> {
  using type = std::int64_t;
};
template <class Enum>
struct ValueOf<AvpType::unsigned32, Enum> {
  using type = std::uint32_t;
};
template <class Enum>
struct ValueOf<AvpType::unsigned64, Enum> {
  using type = std::uint64_t;
};
template <class Enum>
struct ValueOf<AvpType::float32, Enum> {
  using type = float;
};
template <class Enum>
struct ValueOf<AvpType::float64, Enum> {
  using type = double;
};
template <class Enum>
struct ValueOf<AvpType::grouped, Enum> {
  using type = AvpList;
};
template <class Enum>
struct ValueOf<AvpType::address, Enum> {
  using type = Address;
};
template <class Enum>
struct ValueOf<AvpType::time, Enum> {
  using type = Time;
};
template <class Enum>
struct ValueOf<AvpType::enumerated, Enum> {
  using type = Enum;
};
}  // namespace detail

// An AVP definition whose type the compiler knows: `avp::origin_host` and its like. `Enum` is the
// enumeration of an Enumerated AVP.
template <AvpType Type, class Enum = std::int32_t>
struct AvpKey : AvpDef {
  static constexpr AvpType kType = Type;
  using Value = typename detail::ValueOf<Type, Enum>::type;

  constexpr AvpKey(std::uint32_t avp_code, VendorId avp_vendor, bool is_mandatory,
                   std::string_view avp_name)
      : AvpDef{avp_code, avp_vendor, Type, is_mandatory, avp_name} {}
};

namespace avp_flag {
inline constexpr std::uint8_t kVendor = 0x80, kMandatory = 0x40, kProtected = 0x20,
                              kReserved = 0x1f;
}

// One AVP inside a message. Views bytes that must outlive it; total on any payload: a getter of the
// wrong size answers nullopt. Copy it freely.
class AvpView {
 public:
  static constexpr std::size_t kHeaderBytes = 8, kVendorHeaderBytes = 12;

  // Precondition: `raw` is the header and the payload, without padding, and long enough for the
  // header its own flags announce. AvpList gives nothing else.
  explicit AvpView(Bytes raw) : raw_(raw) {}

  std::uint32_t code() const { return load_u32(raw_.data()); }
  std::uint8_t flags() const { return std::to_integer<std::uint8_t>(raw_[4]); }
  bool mandatory() const { return (flags() & avp_flag::kMandatory) != 0; }
  VendorId vendor() const { return has_vendor() ? load_u32(raw_.data() + 8) : 0; }
  bool is(const AvpDef& def) const { return code() == def.code && vendor() == def.vendor; }

  Bytes raw() const { return raw_; }
  Bytes payload() const { return raw_.subspan(has_vendor() ? kVendorHeaderBytes : kHeaderBytes); }

  std::optional<std::uint32_t> u32() const {
    const Bytes p = payload();
    return p.size() == 4 ? std::optional(load_u32(p.data())) : std::nullopt;
  }
  std::optional<std::uint64_t> u64() const {
    const Bytes p = payload();
    return p.size() == 8 ? std::optional(load_u64(p.data())) : std::nullopt;
  }
  std::string_view text() const { return as_text(payload()); }
  std::optional<Address> address() const;
  std::optional<Time> time() const {
    const auto seconds = u32();
    return seconds ? std::optional(Time{*seconds}) : std::nullopt;
  }
  AvpList group() const;

  // The value as the key's type.
  template <AvpType Type, class Enum>
  std::optional<typename AvpKey<Type, Enum>::Value> as(const AvpKey<Type, Enum>&) const;

 private:
  bool has_vendor() const { return (flags() & avp_flag::kVendor) != 0; }

  Bytes raw_;
};

// A sequence of AVPs: a message's, or a group's. Iterating allocates nothing and is total: it ends
// at the end, or at the first AVP whose length is impossible (see broken_at()).
class AvpList {
 public:
  AvpList() = default;
  explicit AvpList(Bytes bytes) : bytes_(bytes) {}

  class Iterator {
   public:
    using value_type = AvpView;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    explicit Iterator(Bytes rest) : rest_(rest) { measure(); }
    AvpView operator*() const { return AvpView(rest_.first(length_)); }
    Iterator& operator++() {
      // The last AVP of a group may come without its padding: some stacks send it so.
      const std::size_t padded = (length_ + 3) & ~std::size_t{3};
      rest_ = rest_.subspan(padded < rest_.size() ? padded : rest_.size());
      measure();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return length_ == 0; }
    // What was not iterated; not empty at the end: the AVP there is broken.
    Bytes rest() const { return rest_; }

   private:
    void measure() {
      length_ = 0;
      if (rest_.size() < AvpView::kHeaderBytes) return;
      const std::size_t length = load_u24(rest_.data() + 5);
      const bool vendor = (std::to_integer<unsigned>(rest_[4]) & avp_flag::kVendor) != 0;
      const std::size_t header = vendor ? AvpView::kVendorHeaderBytes : AvpView::kHeaderBytes;
      if (length >= header && length <= rest_.size()) length_ = length;
    }

    Bytes rest_;
    std::size_t length_ = 0;
  };

  Iterator begin() const { return Iterator(bytes_); }
  std::default_sentinel_t end() const { return {}; }
  Bytes bytes() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }

  // The offset of the first AVP with an impossible length; nullopt: all are whole.
  std::optional<std::size_t> broken_at() const;
  // The first one of that code and vendor.
  std::optional<AvpView> find(const AvpDef& def) const;
  std::size_t count(const AvpDef& def) const;
  // The first one's value: nullopt also where the payload does not fit the type.
  template <AvpType Type, class Enum>
  std::optional<typename AvpKey<Type, Enum>::Value> get(const AvpKey<Type, Enum>& key) const {
    const auto avp = find(key);
    return avp ? avp->as(key) : std::nullopt;
  }

 private:
  Bytes bytes_;
};

inline AvpList AvpView::group() const {
  return AvpList(payload());
}

template <AvpType Type, class Enum>
std::optional<typename AvpKey<Type, Enum>::Value> AvpView::as(const AvpKey<Type, Enum>&) const {
  using Value = typename AvpKey<Type, Enum>::Value;
  if constexpr (Type == AvpType::octet_string) {
    return payload();
  } else if constexpr (Type == AvpType::grouped) {
    return group();
  } else if constexpr (Type == AvpType::address) {
    return address();
  } else if constexpr (Type == AvpType::time) {
    return time();
  } else if constexpr (Type == AvpType::unsigned32 || Type == AvpType::integer32 ||
                       Type == AvpType::enumerated || Type == AvpType::float32) {
    const auto bits = u32();
    if (!bits) return std::nullopt;
    if constexpr (Type == AvpType::float32) {
      return std::bit_cast<float>(*bits);
    } else if constexpr (Type == AvpType::unsigned32) {
      return *bits;
    } else {
      return static_cast<Value>(static_cast<std::int32_t>(*bits));
    }
  } else if constexpr (Type == AvpType::unsigned64 || Type == AvpType::integer64 ||
                       Type == AvpType::float64) {
    const auto bits = u64();
    if (!bits) return std::nullopt;
    return std::bit_cast<Value>(*bits);
  } else {
    return text();
  }
}

}  // namespace siglane::diameter
