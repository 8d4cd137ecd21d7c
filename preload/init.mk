# strongroom-init, PID 1 under supervision: a static program, with musl where its compiler wrapper is installed.
#
#   make init            lib/ARCH/strongroom-init
#   make init-check      build/strongroom-init-check, the same with AddressSanitizer and UBSan, for the tests

ifeq ($(origin INIT_CC),undefined)
ifeq ($(ARCH),$(HOST_ARCH))
INIT_CC := $(if $(shell command -v musl-gcc 2>/dev/null),musl-gcc,$(CC))
else
INIT_CC := $(if $(shell command -v $(ARCH)-linux-musl-gcc 2>/dev/null),$(ARCH)-linux-musl-gcc,$(CC))
endif
endif

init_sources := $(wildcard $(here)src/init/*.c)
init_headers := $(wildcard $(here)src/init/*.h)
init := $(OUT)/strongroom-init
INIT_FLAGS := $(WARNINGS) -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Os -ffunction-sections \
	-fdata-sections -fno-asynchronous-unwind-tables -fstack-protector-strong
INIT_LINK := -static -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=sha1 -s

.PHONY: init init-check

all: $(init)

init: $(init)

$(init): $(init_sources) $(init_headers) $(here)init.mk
	@command -v $(firstword $(INIT_CC)) >/dev/null || \
		{ echo "strongroom: error: no C compiler: $(INIT_CC)" >&2; exit 1; }
	@mkdir -p $(dir $@)
	$(INIT_CC) $(INIT_FLAGS) $(INIT_CFLAGS) $(init_sources) $(INIT_LINK) -o $@.$$$$ && mv -f $@.$$$$ $@

init-check: $(here)build/strongroom-init-check

$(here)build/strongroom-init-check: $(init_sources) $(init_headers) $(here)init.mk
	@mkdir -p $(dir $@)
	$(HOST_CC) $(WARNINGS) -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -O1 -g -fsanitize=address,undefined \
		-fno-sanitize-recover=all $(init_sources) -o $@.$$$$ && mv -f $@.$$$$ $@
