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
PKG_CONFIG ?= pkg-config
AR ?= ar

# `make V=1` prints the commands.
Q := $(if $(V),,@)

# ---- flags: CC, CFLAGS, CPPFLAGS and LDFLAGS are the caller's; what must hold in any case is ours -------------------

CFLAGS ?= -O2 -g
CORE_PACKAGES := libuv jansson sqlite3 inih libsodium libzstd libxxhash libpcre2-8

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings
WARNINGS += $(if $(WERROR),-Werror)
HARDENING := -fstack-protector-strong $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
OUR_CPPFLAGS := -D_GNU_SOURCE -Iinclude -Icore -I$(BUILD)/gen -DTHESEUS_VERSION='"$(VERSION)"'
# The prefix map keeps the checkout's place out of the objects: the same bytes wherever they are built.
OUR_CFLAGS := -std=gnu17 $(WARNINGS) $(HARDENING) -fvisibility=hidden -fno-common -ffile-prefix-map=$(CURDIR)=. \
              $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
OUR_LDFLAGS := -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE))
PACKAGE_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(CORE_PACKAGES))
PACKAGE_LIBS = $(shell $(PKG_CONFIG) --libs $(CORE_PACKAGES)) -ldl -pthread -lm
COMPILE = $(CC) $(OUR_CPPFLAGS) $(CPPFLAGS) $(PACKAGE_CFLAGS) $(CFLAGS) $(OUR_CFLAGS) -MMD -MP

# ---- what there is ---------------------------------------------------------------------------------------------------

CORE_SOURCES := $(filter-out core/server/main.c,$(wildcard core/*/*.c))
CORE_OBJECTS := $(CORE_SOURCES:%.c=$(BUILD)/obj/%.o)
PLUGIN_NAMES := $(filter-out examples,$(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/*.c)))))
PLUGIN_NAMES := $(sort $(PLUGIN_NAMES))
PLUGINS := $(PLUGIN_NAMES:%=$(BUILD)/plugins/%.so)
FIXTURES := $(patsubst tests/plugins/%.c,$(BUILD)/tests/plugins/%.so,$(wildcard tests/plugins/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*/*.c))

.PHONY: all clean
all: $(BUILD)/theseus $(PLUGINS)

# One object may not be left behind half written, nor by different flags.
.DELETE_ON_ERROR:

$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(SANITIZE) $(COVERAGE) $(VERSION) $(LIBDIR) $(SYSCONFDIR)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
.PHONY: FORCE
FORCE:

$(BUILD)/obj/core/%.o: core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(V),,@echo '  CC   $<')
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
	$(if $(V),,@echo '  LD   $@')
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(OUR_LDFLAGS) -pie -o $@ $^ $(PACKAGE_LIBS)

# A plugin is linked under another name and renamed: a server that watches the directory never sees half of it.
define PLUGIN_RULES
$(BUILD)/plugins/$(1).so: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard plugins/$(1)/*.c))
	@mkdir -p $$(@D)
	$$(if $$(V),,@echo '  LD   $$@')
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) $$(OUR_LDFLAGS) -shared -Wl,-z,defs -o $$@.new $$^ $$(shell $$(PKG_CONFIG) --libs jansson) -pthread
	@mv $$@.new $$@
endef
$(foreach name,$(PLUGIN_NAMES),$(eval $(call PLUGIN_RULES,$(name))))

$(BUILD)/obj/plugins/%.o: plugins/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(V),,@echo '  CC   $<')
	$(Q)$(COMPILE) -fPIC -c -o $@ $<

# ---- tests -----------------------------------------------------------------------------------------------------------

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libcore.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  TEST $<')
	$(Q)$(COMPILE) -Itests/unit -Werror=unused-function -fPIE $(LDFLAGS) $(OUR_LDFLAGS) -pie -o $@ $< $(BUILD)/libcore.a $(shell $(PKG_CONFIG) --libs cmocka) $(PACKAGE_LIBS)

.PHONY: unit
unit: $(UNIT_TESTS)
	@for test in $(UNIT_TESTS); do $$test || exit 1; done

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
