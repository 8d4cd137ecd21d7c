public class App {
    public static void main(String[] args) throws Exception {
        System.out.println("DB_PASSWORD=" + System.getenv("DB_PASSWORD"));
        System.out.println("DATABASE_URL=" + System.getenv("DATABASE_URL"));
        while (System.in.read() >= 0) {
        }
    }
}
