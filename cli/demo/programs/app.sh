#!/bin/sh
echo "DB_PASSWORD=$DB_PASSWORD"
echo "DATABASE_URL=$DATABASE_URL"
while read -r _; do :; done
