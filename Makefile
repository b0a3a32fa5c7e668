# Theseus: the server, its plugins and their tests. `make help` lists what there is.
#
# Everything that is made lies under $(BUILD). Nothing here needs a network; tools/setup installs what is missing.

VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
SYSCONFDIR ?= /etc
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/theseus
PKG_CONFIG ?= pkg-config
AR ?= ar
CLANG ?= clang-14
JOBS ?= $(shell nproc)

# `make V=1` prints the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) '$(2)')

.PHONY: all
all:

# ---- flags: CC, CFLAGS, CPPFLAGS and LDFLAGS are the caller's; what must hold in any case is ours -------------------

CFLAGS ?= -O2 -g
CORE_PACKAGES := libuv jansson sqlite3 inih libsodium libzstd libxxhash libpcre2-8

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings
WARNINGS += $(if $(WERROR),-Werror)
# What the sanitizers and gcov see must be the code as written.
INSTRUMENTED := $(SANITIZE)$(COVERAGE)
HARDENING := -fstack-protector-strong $(if $(INSTRUMENTED),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SANITIZERS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) $(if $(COVERAGE),--coverage)
OUR_CPPFLAGS := -D_GNU_SOURCE -Iinclude -Icore -I$(BUILD)/gen -DTHESEUS_VERSION='"$(VERSION)"'
# The prefix map keeps the checkout's place out of the objects: the same bytes wherever they are built.
OUR_CFLAGS := -std=gnu17 $(WARNINGS) $(HARDENING) -fvisibility=hidden -fno-common -ffile-prefix-map=$(CURDIR)=. \
              $(SANITIZERS)
OUR_LDFLAGS := -Wl,-z,relro,-z,now -Wl,--as-needed $(SANITIZERS)
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(CORE_PACKAGES))
PACKAGE_LIBS := $(shell $(PKG_CONFIG) --libs $(CORE_PACKAGES)) -ldl -pthread -lm
PLUGIN_LIBS := $(shell $(PKG_CONFIG) --libs jansson) -pthread
# A sanitizer's run-time library is found when the plugin is loaded, not when it is linked.
PLUGIN_LDFLAGS := -shared $(if $(SANITIZE),,-Wl,-z,defs)
COMPILE = $(CC) $(OUR_CPPFLAGS) $(CPPFLAGS) $(PACKAGE_CFLAGS) $(CFLAGS) $(OUR_CFLAGS) -MMD -MP
LINK = $(CC) $(CFLAGS) $(LDFLAGS) $(OUR_LDFLAGS)

# ---- what there is ---------------------------------------------------------------------------------------------------

CORE_SOURCES := $(filter-out core/server/main.c,$(sort $(wildcard core/*/*.c)))
CORE_OBJECTS := $(CORE_SOURCES:%.c=$(BUILD)/obj/%.o)
PLUGIN_NAMES := $(sort $(filter-out examples,$(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/*.c))))))
PLUGINS := $(PLUGIN_NAMES:%=$(BUILD)/plugins/%.so)
FIXTURES := $(patsubst %.c,$(BUILD)/%.so,$(sort $(wildcard tests/plugins/*.c)))
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/*/*.c)))
FUZZ_TARGETS := $(filter-out replay,$(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*.c))))
REPLAYS := $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%)
TRANSCRIPT_RUNNER := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/transcripts/run.c))
BENCH_PROGRAMS := $(patsubst tests/%.c,$(BUILD)/%,$(sort $(wildcard tests/bench/*.c)))

all: $(BUILD)/theseus $(PLUGINS)

# Nothing may be left behind half made. Objects are kept, whether or not a rule names them.
.DELETE_ON_ERROR:
.SECONDARY:

# Other flags, other objects: this file changes when they do.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(COMPILE) $(LINK) $(LIBDIR) $(SYSCONFDIR)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE
FORCE:

$(BUILD)/obj/core/%.o: core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -fPIE -DTHESEUS_LIBDIR='"$(LIBDIR)"' -DTHESEUS_SYSCONFDIR='"$(SYSCONFDIR)"' -c -o $@ $<

# The texts of `theseus client NAME`, as a C table.
CLIENT_TEXTS := $(sort $(wildcard config/clients/*.txt))
$(BUILD)/gen/server/clients.h: $(CLIENT_TEXTS)
	@mkdir -p $(@D)
	@{ echo '#define CLIENT_TEXTS \'; \
	for file in $(CLIENT_TEXTS); do \
	    echo "{\"$$(basename $$file .txt)\", \\"; \
	    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n" \\/' $$file; \
	    echo '}, \'; \
	done; echo; } >$@.new
	@mv $@.new $@
$(BUILD)/obj/core/server/client_command.o: $(BUILD)/gen/server/clients.h

$(BUILD)/libcore.a: $(CORE_OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

$(BUILD)/theseus: $(BUILD)/obj/core/server/main.o $(BUILD)/libcore.a
	$(call say,LD,$@)
	$(Q)$(LINK) -pie -o $@.new $^ $(PACKAGE_LIBS)
	@mv $@.new $@

# A plugin is linked under another name and renamed: a server that watches the directory never sees half of it.
define PLUGIN_RULES
$(BUILD)/plugins/$(1).so: $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard plugins/$(1)/*.c)))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(LINK) $$(PLUGIN_LDFLAGS) -o $$@.new $$^ $$(PLUGIN_LIBS)
	@mv $$@.new $$@
endef
$(foreach name,$(PLUGIN_NAMES),$(eval $(call PLUGIN_RULES,$(name))))

$(BUILD)/obj/plugins/%.o: plugins/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -fPIC -c -o $@ $<

# ---- fixtures: plugins, good and bad, that the tests load ------------------------------------------------------------

.PHONY: fixtures
fixtures: $(FIXTURES)

$(BUILD)/obj/tests/plugins/%.o: tests/plugins/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -fPIC -c -o $@ $<

# Without -z defs: one of them has an undefined symbol on purpose.
$(BUILD)/tests/plugins/%.so: $(BUILD)/obj/tests/plugins/%.o
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LINK) -shared -o $@.new $^ $(PLUGIN_LIBS) -lsqlite3
	@mv $@.new $@

# The library that needs.so asks for, and that nobody will find.
NOWHERE := $(BUILD)/obj/tests/plugins/libtheseus-nowhere.so
$(NOWHERE): tests/plugins/needs.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -DFIXTURE_LIBRARY -fvisibility=default -Wno-missing-prototypes -fPIC $(LDFLAGS) -shared \
	    -Wl,-soname,libtheseus-nowhere.so.1 -o $@ $<

$(BUILD)/tests/plugins/needs.so: $(NOWHERE)

# ---- test programs ---------------------------------------------------------------------------------------------------

$(BUILD)/obj/tests/%.o: tests/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -Itests/unit -Itests/bench -Werror=unused-function -fPIE -c -o $@ $<

define link_test =
	@mkdir -p $(@D)
	$(Q)$(LINK) -pie -o $@ $(filter %.o %.a,$^) $(1) $(PACKAGE_LIBS)
endef

$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libcore.a
	$(call link_test,$(shell $(PKG_CONFIG) --libs cmocka))

$(BUILD)/tests/transcripts/%: $(BUILD)/obj/tests/transcripts/%.o $(BUILD)/libcore.a
	$(call link_test)

$(REPLAYS): $(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libcore.a
	$(call link_test)

.PHONY: unit
unit: $(UNIT_TESTS) fixtures all
	$(Q)THESEUS='$(abspath $(BUILD)/theseus)' tools/run-unit -j $(JOBS) $(UNIT_TESTS)

clean:
	rm -rf $(BUILD)
.PHONY: clean

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
