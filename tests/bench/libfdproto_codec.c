#include "tests/bench/libfdproto_codec.h"

#include <dlfcn.h>
#include <freeDiameter/freeDiameter-host.h>
#include <freeDiameter/libfdcore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/message_digest.h"

static void fail(const char* what, int error) {
  fprintf(stderr, "libfdproto: %s: %s\n", what, strerror(error));
  exit(1);
}
static void must(int error, const char* what) {
  if (error != 0) fail(what, error);
}

static struct dictionary* dictionary(void) {
  return fd_g_config->cnf_dict;
}

static void load(const char* extension) {
  char path[256];
  snprintf(path, sizeof path, "/usr/lib/freeDiameter/%s.fdx", extension);
  void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (library == NULL) fail(dlerror(), ENOENT);
  int (*init)(int, int, char*) = NULL;
  *(void**)&init = dlsym(library, "fd_ext_init");
  if (init == NULL) fail(path, ENOENT);
  must(init(FD_PROJECT_VERSION_MAJOR, FD_PROJECT_VERSION_MINOR, NULL), path);
}

// What the shipped dictionaries lack of 3GPP TS 29.272.
static void define_avp(uint32_t code, const char* name, enum dict_avp_basetype type) {
  struct dict_avp_request request = {.avp_vendor = 10415, .avp_code = code};
  struct dict_object* found = NULL;
  must(fd_dict_search(dictionary(), DICT_AVP, AVP_BY_CODE_AND_VENDOR, &request, &found, 0), name);
  if (found != NULL) return;
  struct dict_avp_data data = {.avp_code = code,
                               .avp_vendor = 10415,
                               .avp_name = (char*)name,
                               .avp_flag_mask = AVP_FLAG_VENDOR,
                               .avp_flag_val = AVP_FLAG_VENDOR,
                               .avp_basetype = type};
  must(fd_dict_new(dictionary(), DICT_AVP, &data, NULL, NULL), name);
}

static void define_update_location(void) {
  vendor_id_t vendor_id = 10415;
  struct dict_object *vendor = NULL, *application = NULL;
  must(fd_dict_search(dictionary(), DICT_VENDOR, VENDOR_BY_ID, &vendor_id, &vendor, ENOENT),
       "vendor 10415");
  struct dict_application_data s6a = {.application_id = 16777251, .application_name = "S6a"};
  must(fd_dict_new(dictionary(), DICT_APPLICATION, &s6a, vendor, &application), "S6a");
  struct dict_cmd_data request = {316, "Update-Location-Request",
                                  CMD_FLAG_REQUEST | CMD_FLAG_PROXIABLE,
                                  CMD_FLAG_REQUEST | CMD_FLAG_PROXIABLE};
  must(fd_dict_new(dictionary(), DICT_COMMAND, &request, application, NULL), request.cmd_name);
  define_avp(628, "Supported-Features", AVP_TYPE_GROUPED);
  define_avp(629, "Feature-List-ID", AVP_TYPE_UNSIGNED32);
  define_avp(630, "Feature-List", AVP_TYPE_UNSIGNED32);
  define_avp(1032, "RAT-Type", AVP_TYPE_INTEGER32);
  define_avp(1405, "ULR-Flags", AVP_TYPE_UNSIGNED32);
  define_avp(1407, "Visited-PLMN-Id", AVP_TYPE_OCTETSTRING);
}

void libfdproto_start(void) {
  fd_g_debug_lvl = FD_LOG_FATAL;
  must(fd_core_initialize(), "fd_core_initialize");
  load("dict_nasreq");
  load("dict_dcca");
  load("dict_dcca_3gpp");
  define_update_location();
}

static struct msg* parse(const uint8_t* bytes, size_t size) {
  uint8_t* copy = malloc(size);  // which the message then owns
  if (copy == NULL) fail("malloc", ENOMEM);
  memcpy(copy, bytes, size);
  struct msg* message = NULL;
  must(fd_msg_parse_buffer(&copy, size, &message), "fd_msg_parse_buffer");
  struct fd_pei error = {0};
  const int result = fd_msg_parse_dict(message, dictionary(), &error);
  if (result != 0) fail(error.pei_message ? error.pei_message : "fd_msg_parse_dict", result);
  return message;
}

static struct avp* first_in(msg_or_avp* parent) {
  struct avp* first = NULL;
  must(fd_msg_browse(parent, MSG_BRW_FIRST_CHILD, &first, NULL), "fd_msg_browse");
  return first;
}
static struct avp* after(struct avp* avp) {
  struct avp* next = NULL;
  must(fd_msg_browse(avp, MSG_BRW_NEXT, &next, NULL), "fd_msg_browse");
  return next;
}
static struct avp_hdr* header_of(struct avp* avp) {
  struct avp_hdr* header = NULL;
  must(fd_msg_avp_hdr(avp, &header), "fd_msg_avp_hdr");
  return header;
}

static uint64_t visit(msg_or_avp* parent, uint64_t digest) {
  for (struct avp* avp = first_in(parent); avp != NULL; avp = after(avp)) {
    const struct avp_hdr* header = header_of(avp);
    const uint32_t vendor = (header->avp_flags & AVP_FLAG_VENDOR) ? header->avp_vendor : 0;
    digest = digest_number(digest, (uint64_t)vendor << 32 | header->avp_code);
    switch (value_kind(header->avp_code, vendor)) {
      case kValueGroup:
        digest = visit(avp, digest);
        break;
      case kValueU32:
        digest = digest_number(digest, header->avp_value->u32);
        break;
      case kValueU64:
        digest = digest_number(digest, header->avp_value->u64);
        break;
      case kValueBytes:
        digest = digest_bytes(digest, header->avp_value->os.data, header->avp_value->os.len);
        break;
    }
  }
  return digest;
}

uint64_t libfdproto_decode(const uint8_t* bytes, size_t size) {
  struct msg* message = parse(bytes, size);
  const uint64_t digest = visit(message, 0);
  must(fd_msg_free(message), "fd_msg_free");
  return digest;
}

enum { kValuesMax = 128 };

struct Value {
  struct dict_object* model;
  uint8_t flags;
  union avp_value value;
  bool grouped;
  int parent;  // index of the group it is in; -1: the message
};
struct LibfdprotoValues {
  struct dict_object* command;
  uint32_t hop_by_hop, end_to_end;
  int count;
  struct Value values[kValuesMax];
};

static void collect(msg_or_avp* from, int parent, struct LibfdprotoValues* values) {
  for (struct avp* avp = first_in(from); avp != NULL; avp = after(avp)) {
    if (values->count == kValuesMax) fail("too many AVPs", E2BIG);
    const int index = values->count++;
    struct Value* value = &values->values[index];
    const struct avp_hdr* header = header_of(avp);
    must(fd_msg_model(avp, &value->model), "fd_msg_model");
    value->flags = header->avp_flags;
    value->parent = parent;
    value->grouped = header->avp_value == NULL;
    if (value->grouped) {
      collect(avp, index, values);
    } else {
      value->value = *header->avp_value;
    }
  }
}

struct LibfdprotoValues* libfdproto_values(const uint8_t* bytes, size_t size) {
  struct LibfdprotoValues* values = calloc(1, sizeof *values);
  if (values == NULL) fail("calloc", ENOMEM);
  struct msg* message = parse(bytes, size);  // stays: the values point into it
  struct msg_hdr* header = NULL;
  must(fd_msg_hdr(message, &header), "fd_msg_hdr");
  must(fd_msg_model(message, &values->command), "fd_msg_model");
  values->hop_by_hop = header->msg_hbhid;
  values->end_to_end = header->msg_eteid;
  collect(message, -1, values);
  return values;
}

void libfdproto_encode(const struct LibfdprotoValues* values, uint8_t** bytes, size_t* size) {
  struct msg* message = NULL;
  must(fd_msg_new(values->command, 0, &message), "fd_msg_new");
  struct msg_hdr* header = NULL;
  must(fd_msg_hdr(message, &header), "fd_msg_hdr");
  header->msg_hbhid = values->hop_by_hop;
  header->msg_eteid = values->end_to_end;
  struct avp* avps[kValuesMax];
  for (int i = 0; i < values->count; ++i) {
    const struct Value* value = &values->values[i];
    must(fd_msg_avp_new(value->model, 0, &avps[i]), "fd_msg_avp_new");
    header_of(avps[i])->avp_flags = value->flags;
    if (!value->grouped) {
      union avp_value copy = value->value;
      must(fd_msg_avp_setvalue(avps[i], &copy), "fd_msg_avp_setvalue");
    }
    msg_or_avp* parent = value->parent < 0 ? (msg_or_avp*)message : avps[value->parent];
    must(fd_msg_avp_add(parent, MSG_BRW_LAST_CHILD, avps[i]), "fd_msg_avp_add");
  }
  must(fd_msg_bufferize(message, bytes, size), "fd_msg_bufferize");
  must(fd_msg_free(message), "fd_msg_free");
}
