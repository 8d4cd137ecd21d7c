console.log(`DB_PASSWORD=${process.env.DB_PASSWORD}`);
console.log(`DATABASE_URL=${process.env.DATABASE_URL}`);
process.stdin.resume();
