# The program that starts what ignores the library: static, freestanding, beside the library. Included by Makefile.
#
#   make tracer          lib/ARCH/strongroom-tracer

tracer_sources := $(wildcard $(here)src/tracer/*.c) $(shared)
tracer_headers := $(wildcard $(here)src/tracer/*.h)
tracer := $(OUT)/strongroom-tracer

.PHONY: tracer

tracer: $(tracer)

library: $(tracer)

# Position-dependent, as strongroom-launch is and for its reasons.
TRACER_CFLAGS := $(filter-out -fPIC,$(CFLAGS_ALL)) -fno-pie -fno-asynchronous-unwind-tables -fno-stack-protector
TRACER_LINK := -static -nostdlib -Wl,-z,noexecstack,-z,defs -Wl,--build-id=none -s

$(OUT)/.tracer-built-with: FORCE
	$(call stamp,$(CC) $(TRACER_CFLAGS) $(TRACER_LINK) $(LDFLAGS))

$(tracer): $(tracer_sources) $(tracer_headers) $(shared_headers) $(here)tracer.mk $(OUT)/.tracer-built-with
	$(CC) $(TRACER_CFLAGS) $(tracer_sources) $(TRACER_LINK) $(LDFLAGS) -o $@.$$$$ && mv -f $@.$$$$ $@
