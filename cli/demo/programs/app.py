import os
import sys

print("DB_PASSWORD=" + os.environ["DB_PASSWORD"])
print("DATABASE_URL=" + os.environ["DATABASE_URL"], flush=True)
sys.stdin.read()
