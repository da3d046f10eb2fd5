#include "transport/secure/dtls_records.h"

namespace siglane::transport {

std::optional<DtlsRecord> dtls_record_at(Bytes bytes) {
  if (bytes.size() < DtlsRecord::kHeaderBytes) return std::nullopt;
  DtlsRecord record;
  record.type = std::to_integer<std::uint8_t>(bytes[0]);
  record.epoch = load_u16(bytes.data() + 3);
  record.sequence = std::uint64_t{load_u16(bytes.data() + 5)} << 32 | load_u32(bytes.data() + 7);
  record.bytes = DtlsRecord::kHeaderBytes + load_u16(bytes.data() + 11);
  if (record.bytes > bytes.size()) return std::nullopt;
  return record;
}

std::optional<Bytes> client_random_of(Bytes bytes) {
  constexpr std::size_t kMessageHeaderBytes = 12, kVersionBytes = 2, kRandomBytes = 32;
  constexpr std::size_t kAt = DtlsRecord::kHeaderBytes + kMessageHeaderBytes + kVersionBytes;
  constexpr std::byte kClientHello{1};
  const auto record = dtls_record_at(bytes);
  if (!record || record->bytes < kAt + kRandomBytes || record->epoch != 0 ||
      record->type != DtlsRecord::kHandshake || bytes[DtlsRecord::kHeaderBytes] != kClientHello) {
    return std::nullopt;
  }
  return bytes.subspan(kAt, kRandomBytes);
}

bool DtlsOrder::may_pass(const DtlsRecord& record) const {
  if (record.epoch != 1) return true;
  if (record.type == DtlsRecord::kApplicationData && !open_) return false;
  if (record.type == DtlsRecord::kAlert) return record.sequence <= first_missing_;
  return record.sequence < first_missing_ + kWindow;
}

void DtlsOrder::note(const DtlsRecord& record) {
  if (record.epoch != 1 || record.sequence < first_missing_) return;
  seen_ |= std::uint64_t{1} << (record.sequence - first_missing_);
  while ((seen_ & 1) != 0) {
    seen_ >>= 1;
    ++first_missing_;
  }
}

bool DtlsOrder::add(const DtlsRecord& record, Bytes bytes) {
  if (may_pass(record)) {
    note(record);
    ready_.insert(ready_.end(), bytes.begin(), bytes.end());
    ready_tags_.push_back(record.tag);
    return true;
  }
  if (held_bytes_ + bytes.size() > (open_ ? held_bytes_max_ : early_bytes_max_)) return false;
  held_bytes_ += bytes.size();
  held_.emplace(std::pair(record.epoch, record.sequence),
                Held{record, std::vector<std::byte>(bytes.begin(), bytes.end())});
  return true;
}

void DtlsOrder::take_ready(std::vector<std::byte>& into, std::vector<std::uint64_t>& tags) {
  into.insert(into.end(), ready_.begin(), ready_.end());
  tags.insert(tags.end(), ready_tags_.begin(), ready_tags_.end());
  ready_.clear();
  ready_tags_.clear();
  // In order of sequence, so one pass is enough: each only opens the way for later ones.
  for (auto it = held_.begin(); it != held_.end();) {
    const Held& held = it->second;
    if (!may_pass(held.record)) {
      ++it;
      continue;
    }
    note(held.record);
    into.insert(into.end(), held.bytes.begin(), held.bytes.end());
    tags.push_back(held.record.tag);
    held_bytes_ -= held.bytes.size();
    it = held_.erase(it);
  }
}

}  // namespace siglane::transport
